"""Quantization-aware training: the twin, where it rounds, the loop, the files, the command."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import images, randomize
from test_lowering import LAYERS, image_model

from tfqdyn import pipeline, results
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import DataError, Dataset
from tfqdyn.network import modelfile
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.numerics.grid import dequantize, from_range, quantize
from tfqdyn.qat import DivergedError, Schedule, UntrainableError, qat, twin
from tfqdyn.qat.finetuning import cross_entropy, decisions, layer_distance
from tfqdyn.qat.rounding import MovingRange, batch_range, tf_keras
from tfqdyn.quantization.fakequant import kernel_params
from tfqdyn.tflite.file import parse

CONFIG = AnalysisConfig(trials=1, calibration_size=8, preprocessing="tf")


def pixels(model: keras.Model, count: int = 4) -> np.ndarray:
    shape = (count, *model.input_shape[1:])
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("name", LAYERS)
def test_the_twin_computes_what_the_model_does(name: str) -> None:
    model = image_model(*(type(la).from_config(la.get_config()) for la in LAYERS[name]))
    x = pixels(model)
    expected = np.asarray(model(x, training=False))
    graph = lower(model)
    for form in (graph, fold_batchnorm(graph).graph):
        made = twin.twin(form)
        assert isinstance(made, tf_keras.Model)
        found = np.asarray(made(x, training=False)).reshape(expected.shape)
        np.testing.assert_allclose(found, expected, 1e-4, 1e-5 * np.abs(expected).max())


def rounded(network: keras.Model, outputs: list[str] | None = None) -> tuple:
    graph = fold_batchnorm(lower(network)).graph
    rows = graph.rows
    ranges = {name: (-1.5, 2.5) for name in (graph.nodes[0].name, *(r.name for r in rows))}
    return graph, twin.uint8_network(graph, ranges, outputs or [graph.output.name])


def test_every_kernel_and_output_is_rounded_to_its_grid(network: keras.Model) -> None:
    graph, made = rounded(network, ["stem_relu", "pw", "pool", "logits"])
    x = pixels(network)
    relu, pw, pool, logits = (np.asarray(v) for v in made.model(x, training=False))
    params = from_range(-1.5, 2.5)
    for value in (relu, pw, logits):
        np.testing.assert_allclose(value, dequantize(quantize(value, params), params), atol=1e-6)
    # the first layer by hand: rounded image, rounded kernel, exact bias
    node = graph.by_name["stem"]
    source = dequantize(quantize(x, params), params).astype(np.float32)
    weights = kernel_params(node)
    kernel = dequantize(quantize(node.weights["kernel"], weights), weights).astype(np.float32)
    sums = tf.nn.conv2d(source, kernel, 1, "SAME") + node.weights["bias"]
    expected = dequantize(quantize(np.clip(sums, 0, 6), params), params)
    off = np.abs(relu - expected) > 1e-5  # sums in another order may cross the middle of a step
    assert off.mean() < 1e-3
    quarters = np.round(pool / float(params.scale) * 4).astype(int) % 4
    assert set(np.unique(quarters)) == {0, 1, 2, 3}  # the mean of four codes, not rounded itself


def test_a_range_moves_in_training_alone(network: keras.Model) -> None:
    _, made = rounded(network)
    low, high = made.ranges["stem"]
    made.model(pixels(network), training=False)
    assert (float(low), float(high)) == (-1.5, 2.5)
    made.model(pixels(network), training=True)
    moved = made.learned_ranges()["stem"]
    # 0.99 of what was, 0.01 of the batch: a ReLU6's output, which is below 6 here
    assert moved[0] == pytest.approx(0.99 * -1.5)
    assert 0.99 * 2.5 < moved[1] < 0.99 * 2.5 + 0.01 * 6
    assert made.ranges.keys().isdisjoint({"pool", "images"})


def test_batch_ranges_drop_images() -> None:
    values = tf.constant([[-1.0, 5.0], [-4.0, 1.0], [-2.0, 9.0], [0.0, 2.0]])
    assert [float(end) for end in batch_range(values, 0.0)] == [-4, 9]
    assert [float(end) for end in batch_range(values, 0.25)] == [-2, 5]  # one image at each end
    assert [float(end) for end in batch_range(values[:1], 0.25)] == [-1, 5]


def test_gradients_pass_rounding_and_stop_at_the_ends() -> None:
    layer = tf_keras.layers.Layer()
    rule = MovingRange(-1.0, 1.0, 0.9, 0.0)
    state = rule.build((3,), "output", layer)
    x = tf.constant([[-2.0, 0.3, 1.5]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = rule(x, False, state)
    gradient = np.asarray(tape.gradient(y, x))
    assert gradient.tolist() == [[0.0, 1.0, 0.0]]


def test_losses_by_hand() -> None:
    # classes: -ln softmax; exp(ln 3) : exp(0) = 3 : 1
    logits = tf.constant([[float(np.log(3)), 0.0], [0.0, 0.0]])
    found = cross_entropy(tf.constant([0, 1]), logits, True).numpy()
    np.testing.assert_allclose(found, [np.log(4 / 3), np.log(2)], rtol=1e-6)
    single = tf.constant([[float(np.log(3))]])  # sigmoid 3 / 4
    assert cross_entropy(tf.constant([1]), single, True).numpy()[0] == pytest.approx(np.log(4 / 3))
    assert decisions(single, True).numpy().tolist() == [1]
    assert decisions(logits, True).numpy().tolist() == [0, 0]
    # QMSE 1 over mean square 4, and 0 over 1
    exact = [tf.constant([2.0, -2.0]), tf.constant([1.0])]
    off = [tf.constant([3.0, -3.0]), tf.constant([1.0])]
    assert float(layer_distance(exact, off)) == pytest.approx((1 / 4 + 0) / 2)


def learnable(count: int = 96) -> Dataset:
    """Images whose class is which quadrant is bright."""
    data = images(count)

    def bright(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x = x // 3
        for image, label in zip(x, y):
            rows, columns = (slice(6 * (label // 2), None), slice(6 * (label % 2), None))
            image[rows, columns][:6, :6] += 160
        return x

    return Dataset(
        "quadrants", bright(data.x_test, data.y_test), data.y_test,
        bright(data.x_train, data.y_train), data.y_train,
    )  # fmt: skip


def small_net() -> keras.Model:
    """Convolution, depthwise convolution, dense layer."""
    k = keras.layers
    keras.utils.set_random_seed(2)
    inputs = keras.Input((12, 12, 3), name="images")
    x = k.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="stem")(inputs)
    x = k.DepthwiseConv2D(3, padding="same", activation="relu", name="dw")(x)
    x = k.Flatten(name="flat")(x)
    return keras.Model(inputs, k.Dense(4, activation="softmax", name="logits")(x), name="small")


def test_training_wins_back_what_rounding_took() -> None:
    model, data = small_net(), learnable()
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    x = data.x_train.astype(np.float32) / 127.5 - 1
    model.fit(x, data.y_train, epochs=12, batch_size=16, verbose=0)
    kernel, bias = model.get_layer("dw").get_weights()
    scale = np.geomspace(1, 4000, 8).astype(np.float32)  # the same function, unlike channels
    model.get_layer("dw").set_weights([kernel * scale[:, None], bias * scale])
    dense, last = model.get_layer("logits").get_weights()
    per_input = np.tile(scale, dense.shape[0] // 8)[:, None]
    model.get_layer("logits").set_weights([dense / per_input, last])
    schedule = Schedule(3, 16, learning_rate=0.01, layer_loss=0.01)
    done = qat(model, data, schedule, config=CONFIG)
    before, after = done.before.summary, done.after.summary
    assert before.fp32_accuracy > 0.9
    assert before.quantized_accuracy.mean < 0.75
    assert after.quantized_accuracy.mean > 0.95
    assert [epoch.number for epoch in done.history] == [1, 2, 3]
    assert all((epoch.layers or 0) > 0 for epoch in done.history)


def test_learned_ranges_reach_the_file_and_the_files_reach_the_folder(
    network: keras.Model, dataset: Dataset, tmp_path: Path
) -> None:
    schedule = Schedule(epochs=1, batch_size=8, max_images=16)
    done = qat(network, dataset, schedule, config=CONFIG, out=tmp_path)
    assert len(done.folded.ranges) == 8  # all rows but the pool, and the input
    layers = {layer.name: layer for layer in done.after.layers}
    for name, (low, high) in done.folded.ranges.items():
        if layers[name].kind == "softmax":
            continue
        ((scale, zero),) = filter(None, layers[name].quantization)
        expected = from_range(low, high)
        assert scale == pytest.approx(float(expected.scale), rel=1e-5)
        assert zero == int(expected.zero_point)
        assert layers[name].activations.range.mean == pytest.approx(high - low)
    assert "learned" in done.after.notes[-1]
    assert done.after.summary.fp32_accuracy == done.before.summary.fp32_accuracy
    assert {row.reference for row in done.after.layers} == {"original"}
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "0_ptq", "1_qat", "layers.png", "report.html", "qat.json", "trained.keras",
        "trained.tflite",
    }  # fmt: skip
    assert (tmp_path / "trained.tflite").read_bytes() == done.after.tflite[0]
    read = modelfile.load(tmp_path / "trained.keras")
    again = pipeline.analyze(read, dataset, CONFIG)
    assert again.summary.fp32_accuracy == done.after.summary.changed_fp32_accuracy
    record = json.loads((tmp_path / "qat.json").read_text())
    assert record["schedule"]["max_images"] == 16
    assert len(record["history"]) == 1


def test_int8_is_analyzed_like_any_file(dataset: Dataset, tmp_path: Path) -> None:
    k = keras.layers
    model = image_model(
        k.Conv2D(4, 3, use_bias=False), k.BatchNormalization(), k.ReLU(), k.Flatten(),
        k.Dense(4, activation="softmax"), shape=(12, 12, 3),
    )  # fmt: skip
    done = qat(model, dataset, Schedule(epochs=1, batch_size=8), "int8", CONFIG, tmp_path)
    before, after = (results.read(tmp_path / name) for name in ("0_ptq", "1_qat"))
    assert (before["config"]["scheme"], after["config"]["scheme"]) == ("int8", "tflite")
    assert before["summary"]["fp32_accuracy"] == after["summary"]["fp32_accuracy"]
    names = [row["name"] for row in before["layers"]]
    assert [row["name"] for row in after["layers"]] == names
    assert [row["dtype"] for row in after["layers"]] == ["int8"] * len(names)
    assert "held against the fp32 network before training" in done.after.notes[-1]
    assert done.after.summary.changed_fp32_accuracy is None  # a file has no fp32 form
    assert (tmp_path / "report.html").exists()
    assert not (tmp_path / "trained.keras").exists()
    file = parse((tmp_path / "trained.tflite").read_bytes())
    kernels = [t for t in file.tensors if t.dtype == "int8" and t.data is not None]
    assert sorted(t.params.scale.size for t in kernels) in ([1, 4], [4, 4])
    assert sum(op.kind == "CONV_2D" for op in file.operators) == 1


def test_impossible_orders_are_refused(network: keras.Model, dataset: Dataset) -> None:
    with pytest.raises(ValueError, match=r"one of \['uint8', 'int8'\], received 'uint4'"):
        qat(network, dataset, scheme="uint4")
    with pytest.raises(ValueError, match="layer_loss needs"):
        qat(network, dataset, Schedule(layer_loss=1.0), "int8")
    with pytest.raises(ValueError, match="float_layers and own_error need --scheme=uint8"):
        qat(network, dataset, scheme="int8", config=AnalysisConfig(own_error=True))
    with pytest.raises(ValueError, match="at least 1"):
        Schedule(epochs=0)
    with pytest.raises(DataError, match="x_train"):
        qat(network, Dataset("tests", dataset.x_test, dataset.y_test))
    with pytest.raises(UntrainableError, match="PReLU"):
        qat(with_prelu(), dataset, scheme="int8")


def with_prelu() -> keras.Model:
    k = keras.layers
    return randomize(keras.Sequential([
        keras.Input((12, 12, 3)), k.Conv2D(4, 3), k.PReLU(shared_axes=[1, 2]), k.Flatten(),
        k.Dense(4),
    ]))  # fmt: skip


def test_divergence_is_an_error(network: keras.Model, dataset: Dataset) -> None:
    with pytest.raises(DivergedError, match="lower the learning rate, 1e"):
        qat(network, dataset, Schedule(1, 4, learning_rate=1e30), config=CONFIG)
