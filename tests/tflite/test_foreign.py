"""Files that other tools made of a model: what they may do differently, and what is refused."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import images, randomize, residual_net
from numpy.typing import NDArray

from tfqdyn.config import AnalysisConfig
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.graph import Graph
from tfqdyn.network.lowering import lower
from tfqdyn.numerics.grid import QuantParams, quantize
from tfqdyn.pipeline import analyze, analyze_file
from tfqdyn.quantization.conversion import adopt
from tfqdyn.tflite.file import Operator, Tensor, TfliteFileError, TfliteModel
from tfqdyn.tflite.pairing import Pairing, PairingError, pair_layers

CONFIG = AnalysisConfig(preprocessing="tf", trials=1, calibration_size=8)


def net() -> keras.Model:
    keras.utils.set_random_seed(1)
    return residual_net()


def graph_of(model: Any) -> Graph:
    return fold_batchnorm(lower(model)).graph


def plain(
    model: Any, quantized: bool = True, batch: int | None = None, run: Callable | None = None
) -> bytes:
    """What TensorFlow's converter makes of a Keras model, unfolded, as a user would call it."""
    shape = model.input_shape[1:]
    traced = tf.function(run or (lambda x: model(x, training=False)), autograph=False)
    concrete = traced.get_concrete_function(tf.TensorSpec((batch, *shape), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    converter.allow_custom_ops = True
    if quantized:
        x = np.random.default_rng(0).uniform(-1, 1, (8, 1, *shape)).astype(np.float32)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image] for image in x)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bytes(converter.convert())


@functools.cache
def plain_int8() -> bytes:
    return plain(net())


@pytest.mark.parametrize("scheme", ["uint8", "int8"])
def test_our_own_file_gives_the_same_figures_when_it_comes_from_elsewhere(scheme: str) -> None:
    how = {
        "preprocessing": "unit",
        "scheme": scheme,
        "calibrator": "minmax",
    }  # no ties at the input
    config = dataclasses.replace(CONFIG, **how)
    own = analyze(net(), images(12), config)
    other = analyze_file(net(), own.tflite[0], images(12), config)
    assert other.summary == own.summary
    assert other.layers == own.layers
    assert not other.notes


def test_a_plain_converters_file_is_paired_whole() -> None:
    """Float input and output, batch norms unfolded in Keras, one of two PADs folded."""
    found = analyze_file(net(), plain_int8(), images(12), CONFIG)
    assert [row.name for row in found.layers] == [
        "stem", "dw", "pw", "add", "grouped", "pool", "concat", "gap", "logits", "logits_softmax",
    ]  # fmt: skip
    assert all(row.dtype == "int8" and row.sqnr_db.mean > 15 for row in found.layers)
    assert not found.notes


def test_files_of_one_fixed_batch_size_give_the_same_figures() -> None:
    runs = [
        analyze_file(net(), plain(net(), batch=batch), images(11), CONFIG) for batch in (None, 1, 3)
    ]
    for run in runs[1:]:
        assert run.summary == runs[0].summary
        assert [r.qmse for r in run.layers] == [r.qmse for r in runs[0].layers]


def test_a_tf_keras_models_file_is_paired_whole() -> None:
    import tf_keras

    k = tf_keras.layers
    model = tf_keras.Sequential(
        [k.Input((12, 12, 3)), k.Conv2D(8, 3, padding="same", use_bias=False),
         k.BatchNormalization(), k.ReLU(6.0), k.DepthwiseConv2D(3, strides=2, padding="same"),
         k.BatchNormalization(), k.ReLU(6.0), k.GlobalAveragePooling2D(), k.Dense(4), k.Softmax()]
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    paired = adopt(graph_of(model), plain(model))
    assert [pair.operator for pair in paired.pairs] == [
        "CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX",
    ]  # fmt: skip
    assert not paired.notes


k = keras.layers
VARIANTS: dict[str, tuple[list[Any], dict[str, str]]] = {
    "rescaling goes into the convolution": (
        [k.Rescaling(0.5, -1.0, name="r"), k.Conv2D(4, 3), k.Flatten(), k.Dense(3)],
        {"r": "went into layers that read it"},
    ),
    "batch norm goes into the dense layer": (
        [k.Conv2D(4, 3, activation="relu"), k.Flatten(), k.BatchNormalization(name="b"),
         k.Dense(3)],
        {"b": "went into layers that read it"},
    ),
    "batch norm behind a ReLU stays": (
        [k.Conv2D(4, 3, activation="relu"), k.BatchNormalization(), k.Conv2D(5, 3), k.Flatten(),
         k.Dense(3)],
        {},
    ),
    "pools take in ReLUs": (
        [k.Conv2D(4, 3), k.MaxPooling2D(2, name="p"), k.ReLU(name="r"), k.Conv2D(5, 1),
         k.Flatten(), k.Dense(3)],
        {"p": "the file holds it together with 'r' only"},
    ),
    "a hard swish is one operator": (
        [k.Conv2D(4, 3), k.Activation("hard_silu", name="h"), k.Conv2D(4, 1), k.Flatten(),
         k.Dense(3)],
        {"h_hard_sigmoid_shift": "HARD_SWISH computes it together with 'h_hard_sigmoid'",
         "h_hard_sigmoid": "HARD_SWISH computes it together with 'h'"},
    ),
    "clips by several operators": (
        [k.Conv2D(4, 3), k.ReLU(0.7), k.Conv2D(4, 1), k.ReLU(1.0), k.Flatten(), k.Dense(3)], {},
    ),
    "pixels repeated by several operators": (
        [k.UpSampling2D(2), k.Permute((2, 1, 3)), k.Conv2D(4, 3), k.Conv2D(4, 3, groups=2),
         k.GlobalMaxPooling2D(), k.Dense(3)],
        {},
    ),
    "dilated and 1x1 heads": (
        [k.Conv2D(6, 3, dilation_rate=2, padding="same", activation="relu"),
         k.DepthwiseConv2D(3, depth_multiplier=2), k.GlobalAveragePooling2D(keepdims=True),
         k.Conv2D(4, 1), k.Reshape((4,)), k.Softmax()],
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_what_converters_do_differently(name: str, quantized: bool) -> None:
    layers, unpaired = VARIANTS[name]
    layers = [layer.from_config(layer.get_config()) for layer in layers]
    model = randomize(keras.Sequential([keras.Input((8, 8, 3)), *layers]))
    found = adopt(graph_of(model), plain(model, quantized))
    assert found.unpaired == unpaired
    assert not [note for note in found.notes if "operators" in note]
    if not quantized:  # then the file's values are the model's, layer by layer
        from tfqdyn.measurement.capture import KerasActivations
        from tfqdyn.tflite.running import TfliteTensors

        graph = graph_of(model)
        x = np.random.default_rng(2).uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32)
        expected = KerasActivations(graph, [pair.row.output for pair in found.pairs])(x)
        for pair, values, fp32 in zip(found.pairs, TfliteTensors(found, 4)(x), expected):
            np.testing.assert_allclose(
                values.reshape(fp32.shape), fp32, atol=1e-4, err_msg=pair.row.name
            )


class FileMaker:
    """Writes a `TfliteModel` operator by operator, as no converter at hand would."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.tensor((1, *shape))

    def tensor(self, shape: tuple[int, ...], data: NDArray | None = None, **kind: Any) -> int:
        index = len(self.tensors)
        dtype, params = kind.get("dtype", "float32"), kind.get("params")
        self.tensors.append(Tensor(index, f"t{index}", shape, dtype, params, data))
        return index

    def constant(self, values: Any) -> int:
        array = np.asarray(values, np.float32)
        return self.tensor(array.shape, array)

    def op(self, kind: str, inputs: list[int], shape: tuple[int, ...], **more: Any) -> int:
        output = self.tensor((1, *shape), None, **more)
        activation = more.get("activation", "NONE")
        self.operators.append(
            Operator(len(self.operators), kind, tuple(inputs), (output,), activation)
        )
        return output

    def pair(self, graph: Graph, output: int) -> Pairing:
        model = TfliteModel(tuple(self.tensors), tuple(self.operators), (0,), (output,))
        return pair_layers(graph, model)


def small() -> tuple[keras.Model, Graph]:
    layers = [k.ZeroPadding2D(1), k.Conv2D(4, 3, use_bias=False, name="conv"),
              k.BatchNormalization(name="bn"), k.ReLU(6.0), k.GlobalAveragePooling2D(name="gap"),
              k.Dense(3, name="fc"), k.Softmax(name="soft")]  # fmt: skip
    keras.utils.set_random_seed(0)
    model = randomize(keras.Sequential([keras.Input((8, 8, 3)), *layers]))
    return model, graph_of(model)


def test_an_unfolded_batch_norm_belongs_to_its_convolution() -> None:
    model, graph = small()
    gamma, beta, mean, variance = model.get_layer("bn").get_weights()
    scale = gamma / np.sqrt(variance + 1e-3)
    f = FileMaker((8, 8, 3))
    x = f.op("PAD", [0], (10, 10, 3))
    (kernel,) = model.get_layer("conv").get_weights()
    x = f.op("CONV_2D", [x, f.constant(kernel.transpose(3, 0, 1, 2)), -1], (8, 8, 4))
    x = f.op("MUL", [x, f.constant(scale)], (8, 8, 4))
    x = f.op("ADD", [x, f.constant(beta - mean * scale)], (8, 8, 4))
    x = last = f.op("RELU6", [x], (8, 8, 4))
    x = f.op("AVERAGE_POOL_2D", [x], (1, 1, 4))
    weights, bias = model.get_layer("fc").get_weights()
    stored = f.constant(weights.T[:, None, None])
    x = f.op("CONV_2D", [x, stored, f.constant(bias)], (1, 1, 3))  # a dense layer as 1x1
    x = f.op("RESHAPE", [x], (3,))
    x = f.op("SOFTMAX", [x], (3,))
    found = f.pair(graph, x)
    assert [p.row.name for p in found.pairs] == ["conv", "gap", "fc", "soft"]
    assert found.pairs[0].tensor == last
    assert (found.unpaired, found.leftovers) == ({}, ())
    assert max(pair.distance for pair in found.pairs) < 1e-6


def test_a_batch_norm_goes_into_the_depthwise_convolution_behind_it() -> None:
    layers = [k.BatchNormalization(name="bn"), k.DepthwiseConv2D(3, depth_multiplier=2, name="dw"),
              k.GlobalAveragePooling2D(name="gap")]  # fmt: skip
    keras.utils.set_random_seed(0)
    model = randomize(keras.Sequential([keras.Input((8, 8, 3)), *layers]))
    gamma, beta, mean, variance = model.get_layer("bn").get_weights()
    scale = gamma / np.sqrt(variance + 1e-3)
    kernel, bias = model.get_layer("dw").get_weights()  # [3, 3, 3, 2]
    offset = (kernel * (beta - mean * scale)[:, None]).sum(axis=(0, 1)).reshape(-1)
    f = FileMaker((8, 8, 3))
    held = (kernel * scale[:, None]).reshape(1, 3, 3, 6)
    x = f.op("DEPTHWISE_CONV_2D", [0, f.constant(held), f.constant(bias + offset)], (6, 6, 6))
    x = f.op("MEAN", [x], (6,))
    found = f.pair(graph_of(model), x)
    assert [p.row.name for p in found.pairs] == ["dw", "gap"]
    assert found.unpaired == {"bn": "went into layers that read it"}
    assert max(pair.distance for pair in found.pairs) < 1e-6


def test_float_islands_and_encodings_at_the_borders() -> None:
    """QUANTIZE, an int8 convolution, DEQUANTIZE, floats from there on; uint8 and int4 weights."""
    model, graph = small()
    folded = graph.by_name["conv"].weights
    grid = QuantParams(np.full(4, np.abs(folded["kernel"]).max() / 7), np.zeros(4), "int4", 0)
    codes = quantize(folded["kernel"].transpose(3, 0, 1, 2), grid)
    f = FileMaker((8, 8, 3))
    eight = {"dtype": "int8", "params": QuantParams(np.asarray(0.05), np.asarray(-128), "int8")}
    x = f.op("QUANTIZE", [0], (8, 8, 3), **eight)
    stored = f.tensor(codes.shape, codes, dtype="int4", params=grid)
    x = conv = f.op("CONV_2D", [x, stored, f.constant(folded["bias"])], (8, 8, 4),
                    activation="RELU6", **eight)  # fmt: skip
    x = f.op("DEQUANTIZE", [x], (8, 8, 4))
    x = f.op("MEAN", [x, f.tensor((2,), np.array([1, 2], np.int32), dtype="int32")], (4,))
    weights, bias = model.get_layer("fc").get_weights()
    x = f.op("FULLY_CONNECTED", [x, f.constant(weights.T), f.constant(bias)], (3,))
    found = f.pair(graph, x)
    assert [p.row.name for p in found.pairs] == ["conv", "gap", "fc"]
    assert [p.params is None for p in found.pairs] == [False, True, True]
    assert found.pairs[0].tensor == conv
    assert 0.4 < found.pairs[0].most_steps <= 0.5 + 1e-6
    assert "soft" in found.unpaired  # the file ends in logits


def test_a_grid_without_negative_codes_is_a_relu() -> None:
    model, graph = small()
    folded = graph.by_name["conv"].weights
    for zero, cuts in ((-128, True), (-100, False)):
        f = FileMaker((8, 8, 3))
        six = QuantParams(np.asarray(6 / 255), np.asarray(zero), "int8")
        stored = f.constant(folded["kernel"].transpose(3, 0, 1, 2))
        x = f.op("CONV_2D", [0, stored, f.constant(folded["bias"])], (8, 8, 4),
                 dtype="int8", params=six)  # fmt: skip
        x = f.op("MEAN", [x], (4,))
        weights, bias = model.get_layer("fc").get_weights()
        x = f.op("FULLY_CONNECTED", [x, f.constant(weights.T), f.constant(bias)], (3,))
        if cuts:
            assert f.pair(graph, x).pairs[0].row.name == "conv"
        else:
            with pytest.raises(PairingError, match=r"'conv'.*does not cut it off as its ReLU"):
                f.pair(graph, x)


def test_another_models_file_is_refused_with_the_layer_that_differs_most() -> None:
    keras.utils.set_random_seed(2)
    with pytest.raises(
        PairingError, match=r"does not hold this model: .* of 5 layers.*differ most"
    ):
        adopt(graph_of(residual_net()), plain_int8())


def test_another_architectures_file_is_refused_layer_by_layer() -> None:
    _, graph = small()
    with pytest.raises(PairingError, match=r"'conv'.* expected a kernel of 3x3x3x4 .*3x3x3x8"):
        adopt(graph, plain_int8())


def test_a_model_that_was_trained_further_is_told() -> None:
    model = net()
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(weight.numpy() + 0.1 * weight.numpy().std() * rng.normal(size=weight.shape))
    (note,) = adopt(graph_of(model), plain_int8()).notes
    assert "differ from the Keras model's by more than rounding" in note


@pytest.mark.parametrize("change", [{"scheme": "simulated"}, {"own_error": True}])
def test_what_needs_a_network_of_our_making_is_refused(change: dict[str, Any]) -> None:
    config = dataclasses.replace(CONFIG, **change)
    with pytest.raises(ValueError, match="file runs as it is"):
        analyze_file(net(), b"", images(12), config)


def test_damaged_files_are_refused_wherever_they_are_cut() -> None:
    content = plain_int8()
    graph = graph_of(net())
    for part in range(1, 20):
        with pytest.raises(TfliteFileError, match=r"damaged or truncated|identifier TFL3"):
            adopt(graph, content[: part * len(content) // 20])


def test_what_no_single_graph_of_builtin_operators_is() -> None:
    model = net()
    run = functools.partial(model, training=False)

    def loop(x: Any) -> Any:
        return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y / 2), (0, run(x)))[1]

    cases = {
        "CUSTOM Erfinv": lambda x: tf.math.erfinv(run(x)),
        r"one subgraph, received \d": loop,
        "1 input and 1 output as the model has, received 1 input and 2 outputs": lambda x: [
            run(x),
            x,
        ],
    }
    for message, function in cases.items():
        with pytest.raises(TfliteFileError, match=message):
            adopt(graph_of(model), plain(model, False, run=function))


def test_logits_that_the_file_does_not_hold_are_named() -> None:
    from tfqdyn.measurement.outputs import outputs_of
    from tfqdyn.measurement.streaming import logits_rows
    from tfqdyn.measurement.tasks import Plan

    graph = graph_of(net())
    plan = Plan(outputs_of(graph), "classification", 0, list)
    rows = [row.name for row in graph.rows if row.name != "logits"]
    with pytest.raises(ValueError, match="no tensor of 'logits'"):
        logits_rows(plan, rows)
    assert logits_rows(dataclasses.replace(plan, main=None), rows) == [None]


@pytest.mark.filterwarnings("ignore")
def test_a_file_of_ai_edge_quantizer_is_paired_whole(tmp_path: Path, capfd: Any) -> None:
    """It keeps weights behind the flatbuffer, and quantizes a float file."""
    from ai_edge_quantizer import quantizer, recipe

    model = net()
    (tmp_path / "float.tflite").write_bytes(
        tf.lite.TFLiteConverter.from_keras_model(model).convert()
    )
    work = quantizer.Quantizer(str(tmp_path / "float.tflite"))
    work.load_quantization_recipe(recipe.static_wi8_ai8())
    x = np.random.default_rng(0).uniform(-1, 1, (8, 1, 12, 12, 3)).astype(np.float32)
    seen = work.calibrate({"serving_default": [{"images": image} for image in x]})
    found = adopt(graph_of(model), bytes(work.quantize(seen).quantized_model))
    assert len(found.pairs) == 10
    assert not found.notes
    assert {found.model.tensors[pair.tensor].dtype for pair in found.pairs} == {"int8"}
