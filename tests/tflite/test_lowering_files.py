"""Float .tflite files as graphs: every operator that is covered, and what is refused."""

import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import task_networks
import tensorflow as tf
from conftest import SHARED, images, randomize, residual_net
from test_foreign import plain_int8

from tfqdyn import console, datasets, modelsource, pipeline
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.network.graph import Graph
from tfqdyn.network.rebuild import to_keras
from tfqdyn.qat import qat
from tfqdyn.tflite import agreement, interpreter
from tfqdyn.tflite.file import TfliteFileError, parse
from tfqdyn.tflite.floatfile import FloatFile, graph_of
from tfqdyn.tflite.lowering import LOWERINGS, lower, lower_file
from tfqdyn.tflite.lowering.names import short_names

k = keras.layers
CONFIG = AnalysisConfig(calibration_size=8, trials=1, preprocessing="tf")


def float_file(model: Any, half: bool = False) -> bytes:
    """A model, converted as it is, or with weights in half precision."""
    converter: Any = tf.lite.TFLiteConverter.from_keras_model(model)
    return _converted(converter, half)


def of_function(run: Callable[..., Any], *shapes: tuple[int | None, ...]) -> bytes:
    """A function of TensorFlow tensors, converted as it is."""
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    traced = tf.function(run, autograph=False).get_concrete_function(*specs)
    return _converted(tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module()), False)


def _converted(converter: Any, half: bool) -> bytes:
    if half:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    with console.stderr_dropped():
        return bytes(converter.convert())


@cache
def residual_file(half: bool = False) -> bytes:
    keras.utils.set_random_seed(1)
    return float_file(residual_net(), half)


def kinds(content: bytes) -> set[str]:
    return {op.kind for op in parse(content).operators}


def checked(content: bytes) -> Graph:
    """A file's graph, after both were run; again with more images than the file takes at once."""
    graph = FloatFile("net", content).graph
    rng = np.random.default_rng(3)
    inputs = [rng.normal(size=(5, *s)).astype(np.float32) for s in graph.input_shapes.values()]
    run = interpreter.observed(content)
    run.allocate_tensors()
    model = parse(content)
    found: list[list[np.ndarray]] = []
    for image in range(5):
        for index, x in zip(model.inputs, inputs, strict=True):
            run.set_tensor(index, x[image : image + 1])
        run.invoke()
        found.append([run.get_tensor(index) for index in model.outputs])
    values = to_keras(graph, graph.outputs)(inputs if len(inputs) > 1 else inputs[0])
    values = values if isinstance(values, list | tuple) else [values]
    for wanted, value in zip(zip(*found, strict=True), values, strict=True):
        expected = np.concatenate(wanted)
        np.testing.assert_allclose(value, expected, atol=1e-4 * (1 + np.abs(expected).max()))
    return graph


def test_the_residual_net_has_the_rows_of_the_keras_model() -> None:
    keras.utils.set_random_seed(1)
    given = pipeline.fold_batchnorm(graph_of(residual_net(), None)).graph
    graph = checked(residual_file())
    assert [(r.kind, r.output_shape, r.number) for r in graph.rows] == [
        (r.kind, r.output_shape, r.number) for r in given.rows
    ]
    for row, other in zip(graph.rows, given.rows, strict=True):
        if row.has_kernel:
            kernel, wanted = graph.by_name[row.name].kernel, given.by_name[other.name].kernel
            np.testing.assert_allclose(kernel, wanted, atol=1e-6)
    assert graph.inputs == ("images",)
    assert graph.output.output_shape == (4,)
    assert [row.name for row in graph.rows][:4] == ["stem", "dw", "pw", "add"]


def test_weights_in_half_precision_are_numbers() -> None:
    content = residual_file(half=True)
    assert "DEQUANTIZE" in kinds(content)
    graph = checked(content)
    exact = lower_file(residual_file())
    halves = exact.by_name["stem"].kernel.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(graph.by_name["stem"].kernel, halves)


def _image(run: Callable[[Any], Any], shape: tuple[int, ...] = (9, 7, 4)) -> Callable[[], bytes]:
    return lambda: of_function(run, (1, *shape))


def _weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(0, 0.5, shape).astype(np.float32)


def _resize(method: str, **how: bool) -> Callable[[Any], Any]:
    resize = getattr(tf.compat.v1.image, f"resize_{method}")
    return lambda x: resize(x, (14, 21), **how)


def _normalized(x: Any, epsilon: float) -> Any:
    """A layer normalization as Keras computes it."""
    mean, variance = tf.nn.moments(x, -1, keepdims=True)
    scale = tf.math.rsqrt(variance + epsilon) * _weights(5)
    return x * scale + (_weights(5) - mean * scale)


FUNCTIONS: dict[str, Callable[[], bytes]] = {
    "dilated": _image(
        lambda x: tf.nn.bias_add(
            tf.nn.conv2d(x, _weights(3, 3, 4, 5), 1, "SAME", dilations=2), _weights(5)
        )
    ),
    "dilated sequence": _image(
        lambda x: tf.nn.conv1d(x, _weights(3, 4, 5), 1, "VALID", dilations=2), (20, 4)
    ),
    "strided group": _image(lambda x: tf.nn.conv2d(x, _weights(3, 3, 2, 6), (2, 1), "SAME")),
    "depthwise": _image(
        lambda x: tf.nn.relu6(tf.nn.depthwise_conv2d(x, _weights(3, 3, 4, 2), (1, 2, 2, 1), "SAME"))
    ),
    "transposed": _image(
        lambda x: tf.nn.conv2d_transpose(x, _weights(3, 3, 5, 4), (1, 18, 14, 5), 2, "SAME")
    ),
    "dense on rows": _image(lambda x: tf.reshape(x, (63, 4)) @ _weights(4, 5), (9, 7, 4)),
    "constants": _image(
        lambda x: (2.0 - x * _weights(4)) / 3.0 + tf.maximum(x - 0.5, -0.25) + tf.minimum(x, 0.3)
    ),
    "merges": _image(lambda x: tf.maximum(x, -x) * tf.minimum(x, 0.5 * x) - x / (2.0 + x * x)),
    "broadcast": _image(lambda x: x * tf.reduce_mean(x, (1, 2), keepdims=True)),
    "squeezed broadcast": _image(lambda x: x + tf.reduce_max(x, (1, 2))),
    "one axis": _image(lambda x: tf.reduce_mean(x, 1) + tf.reduce_max(x, 1)),
    "sums": _image(lambda x: tf.reduce_sum(x, (1, 2))),
    "sequence": _image(lambda x: tf.reduce_mean(x, 1, keepdims=True), (12, 3)),
    "clips": _image(lambda x: tf.clip_by_value(x, -1.0, 1.0) + tf.minimum(tf.nn.relu(x), 2.0)),
    "activations": _image(
        lambda x: tf.nn.softmax(3.0 * tf.sigmoid(x) + tf.tanh(x) + tf.nn.elu(x) + tf.exp(x))
    ),
    "leaky": _image(lambda x: tf.nn.leaky_relu(x, 0.2) + tf.nn.log_softmax(x)),
    "gelu": _image(lambda x: tf.nn.gelu(x, True) + tf.nn.gelu(x - 1.0, False)),
    "hard swish": _image(lambda x: x * tf.nn.relu6(x + 3.0) * (1 / 6)),
    "squares": _image(lambda x: tf.square(x) + tf.math.squared_difference(x, 0.5 * x)),
    "padding": _image(lambda x: tf.pad(x, ((0, 0), (1, 2), (0, 3), (2, 1)))),
    "slices": _image(lambda x: tf.concat([x[:, 1:7, 2:5, :2], x[:, :6, 1:4, 1:3]], -1)),
    "strided slices": _image(lambda x: x[:, ::2, 1::3, 1]),
    "equal split": _image(lambda x: tf.concat(tf.split(x, 2, -1)[::-1], -1)),
    "slice": _image(lambda x: tf.nn.relu6(tf.slice(x, (0, 2, 1, 0), (-1, 5, -1, 3)))),
    "pools": _image(
        lambda x: tf.nn.max_pool2d(x, 3, 2, "SAME") - tf.nn.avg_pool2d(x, 2, 2, "SAME")
    ),
    "squeeze": _image(lambda x: tf.squeeze(x[:, :, :1], 2)),
    "split": _image(lambda x: tf.concat(tf.split(x, (1, 3), -1)[::-1], -1)),
    "stack": _image(lambda x: tf.stack(tf.unstack(x, axis=3)[::-1], 2)),
    "moves": _image(lambda x: tf.transpose(tf.reshape(x, (1, 7, 9, 4)), (0, 3, 1, 2))),
    "blocks": _image(
        lambda x: tf.nn.depth_to_space(tf.nn.space_to_depth(x, 2)[..., ::1], 2), (8, 6, 4)
    ),
    "two inputs": lambda: of_function(
        lambda a, b: (a + tf.nn.relu(b), b * 2.0), (1, 5, 5, 2), (1, 5, 5, 2)
    ),
    "gather": _image(lambda x: tf.gather(x, [0, 2], axis=3)),
    "products": _image(
        lambda x: tf.matmul(tf.matmul(x, 2.0 * x, transpose_b=True), x, adjoint_a=True), (6, 4)
    ),
    "product with a matrix": _image(
        lambda x: tf.raw_ops.BatchMatMulV2(x=x, y=_weights(3, 4), adj_y=True), (6, 4)
    ),
    "normalized": _image(
        lambda x: _normalized(tf.nn.conv1d(x, _weights(1, 4, 5), 1, "SAME"), 1e-3), (6, 4)
    ),
    "constants of places": _image(
        lambda x: (x + _weights(6, 4)) * _weights(1, 1, 4) - _weights(6, 1), (6, 4)
    ),
    "bias of heads": _image(
        lambda x: tf.reshape(x @ _weights(4, 6), (1, 5, 2, 3)) + _weights(2, 3), (5, 4)
    ),
    "nearest": _image(_resize("nearest_neighbor")),
    "nearest, corners": _image(_resize("nearest_neighbor", align_corners=True)),
    "bilinear": _image(_resize("bilinear")),
    "bilinear, corners": _image(_resize("bilinear", align_corners=True)),
    "bilinear, centers": _image(_resize("bilinear", half_pixel_centers=True), (7, 7, 2)),
}
"""Functions that come to operators as other tools write them."""


@cache
def made(name: str) -> bytes:
    return FUNCTIONS[name]()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_operators_are_computed_as_the_interpreter_does(name: str) -> None:
    content = made(name)
    if name == "dense on rows":
        with pytest.raises(TfliteFileError, match="no axis of images"):
            lower_file(content)
        return
    checked(content)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("products", ["affine", "matmul", "matmul"]),
        ("product with a matrix", ["dense"]),
        ("normalized", ["pointwise", "layer_norm"]),
        ("constants of places", ["affine", "affine", "affine"]),
        ("bias of heads", ["dense"]),
    ],
)
def test_parts_of_transformers_have_their_rows(name: str, rows: list[str]) -> None:
    assert [row.kind for row in lower_file(made(name)).rows] == rows


def test_a_transformer_of_any_number_of_images_has_the_rows_of_the_keras_model() -> None:
    """Such a file computes shapes, and tells wrong ones of what is behind them."""
    model = task_networks.transformer()
    wanted = graph_of(model, None).rows
    graph = checked(float_file(model))
    assert sorted((r.kind, r.output_shape) for r in graph.rows) == sorted(
        (r.kind, r.output_shape) for r in wanted
    )


def test_every_rule_was_tried() -> None:
    tried = set().union(*(kinds(made(name)) for name in FUNCTIONS), kinds(residual_file()))
    seldom = {"EXPAND_DIMS", "HARD_SWISH", "PADV2", "PRELU", "RELU_0_TO_1", "RELU_N1_TO_1"}
    seldom |= {"SQUEEZE"}
    assert set(LOWERINGS) - tried - seldom == set()


def test_figures_are_those_of_the_keras_model() -> None:
    keras.utils.set_random_seed(1)
    own = pipeline.analyze(residual_net(), images(16), CONFIG)
    found = pipeline.analyze(FloatFile("net", residual_file()), images(16), CONFIG)
    assert found.summary.fp32_accuracy == own.summary.fp32_accuracy
    for layer, wanted in zip(found.layers, own.layers, strict=True):
        assert layer.kind == wanted.kind
        assert layer.qmse.mean == pytest.approx(wanted.qmse.mean, rel=0.01)


def test_what_is_not_covered_is_named_at_once_with_a_way_out() -> None:
    content = of_function(lambda x: tf.floor(tf.sin(x)) + tf.sin(2.0 * x), (1, 4, 4, 2))
    with pytest.raises(TfliteFileError) as raised:
        lower_file(content)
    text = str(raised.value)
    assert "3 operators that are not covered" in text
    assert "SIN: " in text
    assert "(and 1 more)" in text
    assert "FLOOR: " in text
    assert "--tflite" in text


def test_a_quantized_file_is_no_model() -> None:
    content = plain_int8()
    with pytest.raises(TfliteFileError, match=r"is quantized: \d+ of its tensors are codes"):
        lower_file(content)


def test_a_lowering_that_computes_something_else_is_refused_with_the_first_layer() -> None:
    content = residual_file()
    lowered = lower(parse(content))
    node = lowered.graph.by_name["pw"]
    wrong = dataclasses.replace(node, weights={**node.weights, "bias": node.weights["bias"] + 0.1})
    nodes = tuple(wrong if n is node else n for n in lowered.graph)
    changed = dataclasses.replace(lowered.graph, nodes=nodes)
    with pytest.raises(TfliteFileError, match=r"'pw' \(conv\) is the first to differ"):
        agreement.check(content, dataclasses.replace(lowered, graph=changed))


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused(keep: float, tmp_path: Path) -> None:
    content = residual_file()
    (tmp_path / "net.tflite").write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ValueError, match="file"):
        pipeline.analyze(modelsource.load(tmp_path / "net.tflite"), images(16), CONFIG)


def test_a_file_for_images_of_any_size_is_refused() -> None:
    content = of_function(lambda x: tf.reduce_mean(x, (1, 2)), (1, None, None, 3))
    with pytest.raises(TfliteFileError, match="takes any size"):
        lower_file(content)


def test_a_file_for_several_images_becomes_one_for_any_number() -> None:
    content = of_function(lambda x: tf.nn.relu(x @ _weights(6, 3)), (4, 6))
    graph = FloatFile("net", content).graph
    assert (graph.input_shape, graph.output.output_shape) == ((6,), (3,))
    x = np.ones((7, 6), np.float32)
    expected = np.maximum(x @ _weights(6, 3), 0)
    np.testing.assert_allclose(to_keras(graph)(x), expected, rtol=1e-5)


def test_qat_says_why_a_file_cannot_be_trained() -> None:
    with pytest.raises(ValueError, match=r"qat trains a Keras model, and 'net' is a .tflite file"):
        qat(FloatFile("net", residual_file()), images(16), config=CONFIG)


def test_names_are_those_of_the_authors_layers() -> None:
    model = parse(residual_file())
    named = {op.kind: short_names(model)[op.index] for op in model.operators}
    assert named["DEPTHWISE_CONV_2D"] == "dw"
    assert named["CONCATENATION"] == "concat"
    assert named["ADD"] == "add"
    assert named["MEAN"] == "gap"


@pytest.mark.realdata
def test_the_palm_detector_and_the_autoencoder_are_lowered_whole() -> None:
    folder = SHARED / "models"
    found = modelsource.load(folder / "detector" / "palm_detection_lite.tflite").graph
    assert [found.by_name[name].output_shape for name in found.outputs] == [(2016, 18), (2016, 1)]
    assert sum(row.has_kernel for row in found.rows) == 53
    found = modelsource.load(folder / "autoencoder" / "ad01_fp32.tflite").graph
    assert [row.kind for row in found.rows] == ["dense"] * 10


def _outputs_of(content: bytes, images: np.ndarray) -> list[np.ndarray]:
    """Real values of every output for images [N, ...], by the interpreter alone."""
    run = interpreter.observed(content)
    run.allocate_tensors()
    (given,) = run.get_input_details()
    found: list[list[np.ndarray]] = []
    for image in images:
        scale, zero = given["quantization"]
        value = image[None].astype(np.float64)
        if given["dtype"] == np.uint8:
            value = np.clip(np.floor(value / scale + 0.5) + zero, 0, 255)
        run.set_tensor(given["index"], value.astype(given["dtype"]))
        run.invoke()
        values = []
        for output in run.get_output_details():
            scale, zero = output["quantization"]
            codes = run.get_tensor(output["index"]).astype(np.float64)
            values.append(codes if output["dtype"] == np.float32 else (codes - zero) * scale)
        found.append(values)
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def _decibels(wanted: np.ndarray, found: np.ndarray) -> float:
    return float(10 * np.log10((wanted**2).sum() / ((wanted - found) ** 2).sum()))


def _recomputed(content: bytes, data: Dataset, mode: str) -> None:
    """The run's output SQNR is that of both files run by the interpreter alone."""
    config = dataclasses.replace(CONFIG, preprocessing=mode, calibrator="minmax")
    result = pipeline.analyze(FloatFile("net", content), data, config)
    images = datasets.preprocess(data.x_test, mode)
    wanted, found = (_outputs_of(c, images) for c in (content, result.tflite[0]))
    for output in result.summary.outputs:
        one = next(w for w in wanted if w.shape[1:] == output.shape)
        other = next(f for f in found if f.shape[1:] == output.shape)
        assert output.sqnr_db.mean == pytest.approx(_decibels(one, other), abs=1e-3)
    assert len(result.summary.outputs) == len(wanted)


def test_output_sqnr_is_that_of_both_interpreters_alone() -> None:
    """A landmark net in small: two outputs, a slope for each channel, channels padded."""
    keras.utils.set_random_seed(3)
    x = given = keras.Input((16, 16, 3), name="face")
    x = k.PReLU(shared_axes=[1, 2])(k.Conv2D(4, 3, strides=2, padding="same")(x))
    y = k.Conv2D(8, 1)(k.DepthwiseConv2D(3, strides=2, padding="same")(x))
    x = k.Add()([y, keras.ops.pad(k.MaxPooling2D()(x), ((0, 0), (0, 0), (0, 0), (0, 4)))])
    x = k.PReLU(shared_axes=[1, 2])(x)
    points = k.Reshape((5, 2))(k.Conv2D(10, 4)(x))
    there = k.Flatten()(k.Conv2D(1, 4, activation="sigmoid")(x))
    content = float_file(randomize(keras.Model(given, [points, there])))
    rng = np.random.default_rng(0)
    x_test, x_train = rng.integers(0, 256, (2, 12, 16, 16, 3)).astype(np.uint8)
    _recomputed(content, Dataset("faces", x_test, None, x_train, None), "tf")


@pytest.mark.realdata
def test_output_sqnr_of_the_real_detector(real_photographs: Dataset) -> None:
    content = (SHARED / "models" / "detector" / "palm_detection_lite.tflite").read_bytes()
    images = real_photographs.x_test[:12, 16:208, 16:208]
    _recomputed(content, Dataset("photographs", images[:4], None, images[4:], None), "unit")
