"""int8 files on ranges of ours: grids, arithmetic, and TensorFlow's own file beside them."""

import dataclasses
import functools

import faulty_networks
import keras
import numpy as np
import pytest
from conftest import randomize
from numpy.typing import NDArray

from tfqdyn.measurement.capture import KerasActivations
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.graph import Graph
from tfqdyn.network.lowering import lower
from tfqdyn.numerics.grid import dequantize, quantize, symmetric
from tfqdyn.quantization import checks
from tfqdyn.quantization.conversion import to_scheme, to_tflite
from tfqdyn.quantization.converted import Converted
from tfqdyn.quantization.fakequant import quantization_of
from tfqdyn.quantization.stepwise import StepwiseNetwork, steps_of
from tfqdyn.tflite.running import TfliteTensors


def pixels(count: int) -> NDArray[np.float32]:
    return faulty_networks.photographs(count) / np.float32(127.5) - np.float32(1)


@functools.cache
def converted(float_layers: tuple[str, ...] = ()) -> tuple[Graph, dict, Converted]:
    graph = faulty_networks.healthy().graph
    found = extrema(graph, pixels(16))
    return graph, found, to_tflite(graph, found, float_layers, "int8")


def extrema(graph: Graph, images: NDArray) -> dict[str, tuple[float, float]]:
    names = {graph.nodes[0].name: graph.nodes[0].name} | {r.name: r.output for r in graph.rows}
    values = KerasActivations(graph, list(names.values()))(images)
    return {n: (float(v.min()), float(v.max())) for n, v in zip(names, values, strict=True)}


def test_symmetric_parameters_by_hand() -> None:
    params = symmetric([1.27, 0.0, 1e-9, 254.0], axis=3)
    np.testing.assert_array_equal(params.scale, np.float32([0.01, 5e-7 / 127, 5e-7 / 127, 2.0]))
    assert params.zero_point.tolist() == [0, 0, 0, 0]
    assert (params.dtype, params.axis) == ("int8", 3)
    weights = np.array([[[[1.27, 0.0, 0.0, -254.0]]], [[[-0.004, 0.0, 0.0, 1.0]]]])
    assert quantize(weights, params).reshape(2, 4).tolist() == [[127, 0, 0, -127], [0, 0, 0, 1]]


def test_layers_of_one_kernel_have_a_bias_each() -> None:
    """A file holds the kernel that both have only once."""
    k = keras.layers
    x = inputs = keras.Input((6, 6, 3), name="images")
    x = k.Conv2D(3, 3, name="conv")(x)
    x = k.ReLU(name="one")(0.5 * x + np.array([0.1, 0.2, 0.3], np.float32))
    x = k.LeakyReLU(0.1, name="two")(k.Rescaling(0.5, 0.0, name="first")(x))
    x = k.Rescaling(0.5, 0.4, name="second")(x)
    graph = fold_batchnorm(lower(keras.Model(inputs, k.Flatten()(x)), None)).graph
    ranges = {name: (-1.0, 2.0) for name in (*graph.inputs, *(row.name for row in graph.rows))}
    found = to_tflite(graph, ranges, scheme="int8")
    kernels = {pair.row.name: pair.kernel for pair in found.pairs}
    assert kernels["first"] == kernels["second"]


def test_with_extrema_it_is_tensorflows_file() -> None:
    """A chain of layers: the same scales, weights and biases, so the same codes at every layer."""
    graph, _, ours = converted()
    images = pixels(16)
    theirs = to_scheme(graph, "int8", lambda: ([image[None]] for image in images))
    found = [TfliteTensors(file, 16)(images) for file in (ours, theirs)]
    for a, b, x, y in zip(ours.pairs, theirs.pairs, *found, strict=False):
        assert a.row.name == b.row.name
        assert a.params is not None
        assert b.params is not None
        assert float(a.params.scale) == pytest.approx(float(b.params.scale), rel=1e-6)
        assert a.params.zero_point == b.params.zero_point
        if a.kernel is not None:
            one, other = ours.model.tensors[a.kernel], theirs.model.tensors[b.kernel]
            np.testing.assert_array_equal(one.data, other.data)
            np.testing.assert_allclose(one.params.scale, other.params.scale, rtol=1e-6)
        assert np.mean(x != y) < 0.01, a.row.name


def integer_layer(file: Converted, row: str, x: NDArray) -> NDArray[np.int64]:
    """A layer of the file in integers (Jacob et al. 2018, section 2): codes in, codes out.

    Depthwise 3 x 3 with padding, or a product over channels; ReLU where the file fuses one.
    """
    place = next(i for i, pair in enumerate(file.pairs) if pair.row.name == row)
    pair, tensors = file.pairs[place], file.model.tensors
    (operator,) = (op for op in file.model.operators if pair.kernel in op.inputs)
    source, kernel = (tensors[index] for index in operator.inputs[:2])
    centred = x.astype(np.int64) - int(source.params.zero_point)
    w = kernel.data.astype(np.int64)
    if operator.kind == "DEPTHWISE_CONV_2D":
        padded = np.pad(centred, ((0, 0), (1, 1), (1, 1), (0, 0)))
        height, width = x.shape[1:3]
        sums = sum(
            padded[:, i : i + height, j : j + width] * w[0, i, j]
            for i in range(3)
            for j in range(3)
        )
    else:
        sums = centred @ w.reshape(w.shape[0], -1).T
    unit = float(source.params.scale) * kernel.params.scale
    if operator.inputs[2] >= 0:  # a bias of zeros is left out
        bias = tensors[operator.inputs[2]]
        sums = sums + bias.data.astype(np.int64)
        np.testing.assert_allclose(bias.params.scale, unit, rtol=1e-6)
    zero = int(pair.params.zero_point)
    codes = np.floor(sums * unit / float(pair.params.scale) + 0.5).astype(np.int64) + zero
    return codes.clip(zero if operator.activation == "RELU" else -128, 127)


@pytest.mark.parametrize(("row", "before"), [("dw", "stem"), ("pw", "dw"), ("logits", "gap")])
def test_arithmetic_of_a_layer_in_integers(row: str, before: str) -> None:
    """The interpreter's rescaling has 31 bits, which moves a code at a tie to its neighbour."""
    _, _, file = converted()
    values = dict(
        zip([p.row.name for p in file.pairs], TfliteTensors(file, 8)(pixels(8)), strict=False)
    )
    expected = integer_layer(file, row, values[before])
    off = np.abs(values[row].astype(np.int64) - expected)
    assert off.max() <= 1
    assert np.mean(off > 0) < 0.005
    assert values[row].std() > 10  # codes that vary


def test_the_stepwise_network_holds_the_files_codes() -> None:
    graph, found, file = converted()
    run = StepwiseNetwork(graph, quantization_of(graph, found, "int8"), [pixels(8)])
    codes = TfliteTensors(file, 8)(pixels(8))
    rows = {pair.row.name: place for place, pair in enumerate(file.pairs)}
    for step in steps_of(graph):
        run.advance(step)
        if step.row is not None and step.row.name != "logits":
            kept = run.stored(step.row.output).chunks[0]
            assert kept.dtype == np.int8
            differ = kept != codes[rows[step.row.name]].reshape(kept.shape)
            most = 0.1 if step.row.name == "gap" else 0.02  # TFLite's mean rescales coarsely
            assert np.mean(differ) < most, step.row.name


def test_float_layers_compute_in_fp32() -> None:
    graph, _, file = converted(("dw",))
    pairs = {pair.row.name: pair for pair in file.pairs}
    assert pairs["dw"].params is None
    kernel = file.model.tensors[pairs["dw"].kernel].data
    np.testing.assert_array_equal(kernel[0], graph.by_name["dw"].kernel[:, :, 0])
    values = dict(zip(pairs, TfliteTensors(file, 8)(pixels(8)), strict=False))
    read = dequantize(values["stem"], pairs["stem"].params)
    padded = np.pad(read, ((0, 0), (1, 1), (1, 1), (0, 0)))
    w, bias = graph.by_name["dw"].kernel[:, :, 0], graph.by_name["dw"].weights["bias"]
    sums = sum(padded[:, i : i + 12, j : j + 12] * w[i, j] for i in range(3) for j in range(3))
    np.testing.assert_allclose(values["dw"], np.maximum(sums + bias, 0), atol=1e-5)
    assert pairs["pw"].params.dtype == "int8"


def joined_net() -> keras.Model:
    k = keras.layers
    keras.utils.set_random_seed(2)
    x = inputs = keras.Input((12, 12, 3), name="images")
    a = k.Conv2D(4, 3, padding="same", activation="relu", name="a")(x)
    b = k.Conv2D(4, 3, padding="same", name="b")(a)
    both = k.Concatenate(name="both")(
        [k.MaxPooling2D(2, name="pool")(a), k.MaxPooling2D(2, name="pool_b")(b)]
    )
    most = k.Maximum(name="most")([both, k.Conv2D(8, 1, name="c")(both)])
    last = k.Conv2DTranspose(6, 2, strides=2, name="up")(most)
    gate = k.Conv2D(6, 1, activation="sigmoid", name="gate")(b)
    x = k.GlobalAveragePooling2D(name="gap")(k.Multiply(name="gated")([last, gate]))
    return randomize(keras.Model(inputs, k.Dense(4, name="logits")(x)))


def test_what_is_joined_shares_one_grid() -> None:
    """int8 concatenations, maxima and minima move codes: all that they read is on their grid."""
    graph = fold_batchnorm(lower(joined_net())).graph
    ranges = {row.name: (-0.5, 0.5) for row in graph.rows} | {"images": (-1.0, 1.0)}
    ranges |= {"a": (0.0, 3.0), "b": (-2.0, 1.0), "both": (-2.0, 3.0), "c": (-4.0, 1.0)}
    ranges |= {"most": (-2.0, 2.5)}
    params = quantization_of(graph, ranges, "int8")
    joined = ["a", "b", "pool", "pool_b", "both", "c", "most"]
    for name in joined:  # of [-4, 3]: 7 / 255, and -128 + 4 x 255 / 7
        assert float(params[name].scale) == np.float32(7 / 255), name
        assert int(params[name].zero_point) == round(-128 + 4 * 255 / 7) == 18
    assert float(params["up"].scale) == np.float32(1 / 255)
    assert (float(params["gate_sigmoid"].scale), int(params["gate_sigmoid"].zero_point)) == (
        1 / 256,
        -128,
    )
    file = to_tflite(graph, ranges, (), "int8")
    assert "QUANTIZE" not in {op.kind for op in file.model.operators}
    plain = quantization_of(graph, ranges)
    assert float(plain["b"].scale) == np.float32(3 / 255)  # uint8 kernels rescale what they join


def test_a_bias_beyond_its_codes_raises_the_channels_scale() -> None:
    """Weights of 1e-8 beside a bias of 1: TFLite holds the bias, in 31 bits."""

    def change(kernel: NDArray) -> NDArray:
        kernel[..., 0], kernel[..., 1] = 1e-8, 0.0
        return kernel

    changed = faulty_networks.with_kernel(faulty_networks.healthy(), "pw", change)
    node = changed.graph.by_name["pw"]
    bias = node.weights["bias"].copy()
    bias[:3] = 1.0, 0.0, 1.0
    node = dataclasses.replace(node, weights={**node.weights, "bias": bias})
    graph = faulty_networks.with_node(changed, node).graph
    file = to_tflite(graph, extrema(graph, pixels(8)), (), "int8")
    pair = next(pair for pair in file.pairs if pair.row.name == "pw")
    scale = file.model.tensors[pair.kernel].params.scale
    source = next(p for p in file.pairs if p.row.name == "dw").params
    assert scale[0] == pytest.approx(1 / float(source.scale) / 2**30, rel=1e-5)
    assert scale[1] == pytest.approx(5e-7 / 127, rel=1e-6)
    assert scale[2] == pytest.approx(np.abs(node.kernel[..., 2]).max() / 127, rel=1e-6)


@pytest.mark.parametrize("role", ["kernel", "bias"])
def test_a_file_with_other_weights_is_refused(role: str) -> None:
    graph, _, file = converted()
    node = graph.by_name["pw"]
    other = {**node.weights, role: node.weights[role] * np.float32(1.01)}
    changed = dataclasses.replace(node, weights=other)
    wrong = faulty_networks.with_node(faulty_networks.healthy(), changed).graph
    with pytest.raises(checks.ConversionError, match=r"layer 'pw': (scales|biases)"):
        checks.check_channels(wrong, file.pairs, file.model)
    checks.check_channels(graph, file.pairs, file.model)
