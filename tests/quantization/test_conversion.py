"""The converted file against an integer simulation of Jacob et al. 2018 in NumPy."""

from collections.abc import Sequence

import keras
import numpy as np
import pytest
from conftest import forked_net, randomize, residual_net
from numpy.typing import NDArray

from tfqdyn.measurement.capture import KerasActivations
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.graph import Graph, LayerNode
from tfqdyn.network.lowering import lower
from tfqdyn.numerics.grid import QuantParams, dequantize, quantize
from tfqdyn.quantization import checks, conversion, fakequant
from tfqdyn.quantization.conversion import to_tflite
from tfqdyn.quantization.converted import Converted
from tfqdyn.tflite import interpreter, pairing, provenance
from tfqdyn.tflite.file import TfliteFileError, TfliteModel, parse
from tfqdyn.tflite.running import TfliteTensors


def convert(model: keras.Model, float_layers: tuple[str, ...] = ()) -> tuple[Graph, Converted]:
    graph = fold_batchnorm(lower(model)).graph
    rows = graph.rows
    run = KerasActivations(graph, [graph.nodes[0].name, *(row.output for row in rows)])
    names = [graph.nodes[0].name, *(row.name for row in rows)]
    sites = run(pixels(graph, 16))
    ranges = {n: (float(s.min()), float(s.max())) for n, s in zip(names, sites, strict=True)}
    return graph, to_tflite(graph, ranges, float_layers)


def pixels(graph: Graph, count: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(5)
    return rng.uniform(-1, 1, (count, *graph.input_shape)).astype(np.float32)


def windows(x: NDArray[np.int64], kernel: int, stride: int) -> NDArray[np.int64]:
    """[N, H', W', kernel, kernel, C] of x [N, H, W, C]."""
    found = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (1, 2))
    return found[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)


def requantize(real: NDArray, params: QuantParams, relu: bool) -> NDArray[np.int64]:
    zero = int(params.zero_point)
    codes = np.floor(real / float(params.scale) + 0.5).astype(np.int64) + zero
    return codes.clip(zero if relu else 0, 255)


class Simulation:
    """Jacob et al.'s integer arithmetic for the ops of `residual_net`."""

    def __init__(self, graph: Graph, converted: Converted) -> None:
        self.graph = graph
        self.model = converted.model
        self.params = {pair.row.name: pair.params for pair in converted.pairs}

    def linear(self, name: str, x: NDArray, before: QuantParams, **how) -> NDArray[np.int64]:
        """int32 accumulators of codes less zero points, int32 bias, rescaled and clamped."""
        node = self.graph.by_name[name]
        weights = fakequant.kernel_params(node)
        w = quantize(node.weights["kernel"], weights).astype(np.int64) - int(weights.zero_point)
        scale = float(before.scale) * float(weights.scale)
        bias = np.round(node.weights["bias"] / scale).astype(np.int64)
        centred = x.astype(np.int64) - int(before.zero_point)
        if node.op == "dense":
            total = centred @ w
        else:
            pad = how.get("pad", 0)
            centred = np.pad(centred, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
            patches = windows(centred, w.shape[0], how.get("stride", 1))
            if node.op == "depthwise":
                total = np.einsum("nhwijc,ijcm->nhwcm", patches, w).reshape(*patches.shape[:3], -1)
            else:
                groups = np.split(patches, node.config["groups"], axis=-1)
                kernels = np.split(w, node.config["groups"], axis=-1)
                total = np.concatenate(
                    [np.einsum("nhwijc,ijck->nhwk", g, k) for g, k in zip(groups, kernels)], -1
                )
        assert np.abs(total).max() < 2**31
        return requantize((total + bias) * scale, self.params[name], how.get("relu", False))

    def real(self, name: str, codes: NDArray) -> NDArray[np.float64]:
        params = self.params[name]
        return float(params.scale) * (codes.astype(np.int64) - int(params.zero_point))


def test_the_file_computes_the_integer_scheme() -> None:
    graph, converted = convert(residual_net())
    x = pixels(graph, 8)
    network = TfliteTensors(converted, 8)
    captured = network(x)
    codes = {p.row.name: c.copy() for p, c in zip(converted.pairs, captured, strict=False)}
    del captured
    s = Simulation(graph, converted)
    p = s.params
    source = quantize(x, converted.input_params)
    # every op reads the captured codes of the op before it: one op's rounding at a time
    expected = {
        "stem": s.linear("stem", source, converted.input_params, pad=1, relu=True),
        "dw": s.linear("dw", codes["stem"], p["stem"], pad=1, relu=True),
        "pw": s.linear("pw", codes["dw"], p["dw"]),
    }
    total = s.real("pw", codes["pw"]) + s.real("stem", codes["stem"])
    expected["add"] = requantize(total, p["add"], relu=True)
    zero = int(p["add"].zero_point)
    padded = np.pad(codes["add"], ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=zero)
    expected["grouped"] = s.linear("grouped", padded, p["add"], stride=2, relu=True)
    # TFLite gives a pool before a concatenation the concatenation's scale, and requantizes before
    rescaled = requantize(s.real("add", padded), p["pool"], relu=False)
    expected["pool"] = np.floor(windows(rescaled, 2, 2).mean(axis=(3, 4)) + 0.5)
    both = [s.real(n, codes[n]) for n in ("grouped", "pool")]
    expected["concat"] = requantize(np.concatenate(both, -1), p["concat"], relu=False)
    expected["gap"] = requantize(s.real("concat", codes["concat"]).mean((1, 2)), p["gap"], False)
    expected["logits"] = s.linear("logits", codes["gap"], p["gap"])
    logits = s.real("logits", codes["logits"])
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected["logits_softmax"] = np.floor(shares * 256 + 0.5).clip(0, 255)
    assert set(expected) == set(codes)
    for name, simulated in expected.items():
        difference = np.abs(simulated.astype(int) - codes[name].reshape(simulated.shape))
        assert difference.max() <= 1, name
        assert (difference == 0).mean() > 0.9, name


def test_every_tensor_is_uint8_and_every_weight_ours() -> None:
    graph, converted = convert(residual_net())
    assert {t.dtype for t in converted.model.tensors} == {"uint8", "int32"}
    assert [pair.row for pair in converted.pairs] == list(graph.rows)
    softmax = converted.pairs[-1].params
    assert (float(softmax.scale), int(softmax.zero_point)) == (1 / 256, 0)
    for pair in converted.pairs:
        if pair.row.has_kernel:
            stored = converted.model.tensors[pair.kernel]
            params = fakequant.kernel_params(graph.by_name[pair.row.name])
            assert float(stored.params.scale) == pytest.approx(float(params.scale), rel=1e-6)
            assert stored.params.zero_point == params.zero_point


def test_weights_that_differ_from_ours_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    shifted = lambda values, params: quantize(values + 3 * params.scale, params)  # noqa: E731
    monkeypatch.setattr(checks, "quantize", shifted)
    with pytest.raises(checks.ConversionError, match="weights in the file differ"):
        convert(residual_net())


def test_named_layers_stay_in_fp32() -> None:
    kept = ("stem", "dw", "add", "logits")
    graph, converted = convert(residual_net(), kept)
    for pair in converted.pairs:
        assert (pair.params is None) == (pair.row.name in kept)
    x = pixels(graph, 4)
    captured = TfliteTensors(converted, 4)(x)
    fp32 = KerasActivations(graph, ["stem_relu"])(x)[0]
    assert captured[0].dtype == np.float32
    np.testing.assert_allclose(captured[0], fp32, atol=float(converted.input_params.scale) * 4)
    with pytest.raises(ValueError, match=r"\['nonsense'\] are no layers; layers are: stem, dw"):
        convert(residual_net(), ("nonsense",))


def test_activations_that_vanish_are_converted_and_paired() -> None:
    """Deep untrained networks, and the thesis' vanishing ones, shrink below TFLite's 1e-6."""
    layers = [keras.Input((8, 8, 3)), *(keras.layers.Conv2D(4, 1, activation="relu")
              for _ in range(3)), keras.layers.Flatten(), keras.layers.Dense(2)]  # fmt: skip
    model = keras.Sequential(layers)
    for layer in model.layers[:3]:
        layer.set_weights([np.abs(w) * 1e-5 for w in layer.get_weights()])
    graph, converted = convert(model)
    assert [float(p.params.scale) * 255 < 1e-4 for p in converted.pairs] == [True] * 4
    codes = TfliteTensors(converted, 4)(pixels(graph, 4))[2]
    assert len(np.unique(codes)) == 1  # 1e-15 is nothing on a grid of 4e-9


def test_relus_clip_in_fp32_and_in_8_bits() -> None:
    clip = keras.layers.ReLU(max_value=0.3, name="clip")
    model = randomize(
        keras.Sequential(
            [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv"), clip,
             keras.layers.Flatten(), keras.layers.Dense(2)]
        )
    )  # fmt: skip
    for kept in ((), ("conv",)):
        graph, converted = convert(model, kept)
        found = TfliteTensors(converted, 4)(pixels(graph, 4))[0]
        params = converted.pairs[0].params
        scale, zero = (1.0, 0) if params is None else (float(params.scale), int(params.zero_point))
        assert scale * (found.max() - zero) == pytest.approx(0.3, abs=1e-6)


def test_a_network_wholly_in_fp32_gives_fp32_values() -> None:
    model = residual_net()
    names = tuple(row.name for row in fold_batchnorm(lower(model)).graph.rows)
    graph, converted = convert(model, names)
    x = pixels(graph, 4)
    captured = TfliteTensors(converted, 4)(x)
    fp32 = KerasActivations(graph, [row.output for row in graph.rows])(x)
    for pair, found, expected in zip(converted.pairs, captured, fp32, strict=False):
        assert pair.params is None
        assert np.abs(found.reshape(expected.shape) - expected).max() < 0.05  # input in 8 bits


def test_leftovers_are_named() -> None:
    graph, converted = convert(residual_net())
    shorter = Graph(graph.name, graph.nodes[:-1])
    (left,) = pairing.pair_layers(shorter, converted.model).leftovers
    assert "SOFTMAX" in left
    params = {pair.row.name: pair.params for pair in converted.pairs}
    params["pw"] = fakequant.from_range(0, 123)
    with pytest.raises(checks.ConversionError, match="'pw': quantization"):
        checks.check_params(converted.pairs, params, ())


k = keras.layers
NETWORKS = {
    "affine ops": [k.Rescaling(0.5), k.BatchNormalization(), k.ReLU(), k.Conv2D(4, 1), k.Flatten(),
                   k.BatchNormalization(), k.Dense(3)],
    "activations": [k.Conv2D(4, 3, activation="hard_silu"), k.Conv2D(4, 1, activation="silu"),
                    k.Conv2D(4, 1, activation="tanh"), k.LeakyReLU(), k.Conv2D(4, 1),
                    k.PReLU(shared_axes=[1, 2]), k.Flatten(), k.Dense(3, activation="sigmoid")],
    "layout": [k.UpSampling2D(2, interpolation="bilinear"), k.Cropping2D(1), k.Permute((2, 1, 3)),
               k.UpSampling2D(2), k.MaxPooling2D(2), k.GlobalMaxPooling2D(), k.Dense(3)],
    "transposed": [k.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu"),
                   k.SeparableConv2D(6, 3, strides=2), k.ReLU(1.0), k.GlobalAveragePooling2D(),
                   k.Dense(3), k.Softmax()],
    "one channel": [k.Conv2D(1, 3), k.DepthwiseConv2D(3, depth_multiplier=4), k.Flatten(),
                    k.Dense(2)],
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_further_ops_are_paired_and_close_to_fp32(name: str) -> None:
    layers = [layer.from_config(layer.get_config()) for layer in NETWORKS[name]]
    model = randomize(keras.Sequential([keras.Input((8, 8, 3)), *layers]))
    graph, converted = convert(model)
    x = pixels(graph, 4)
    captured = TfliteTensors(converted, 4)(x)
    fp32 = KerasActivations(graph, [row.output for row in graph.rows])(x)
    for pair, codes, expected in zip(converted.pairs, captured, fp32, strict=False):
        real = float(pair.params.scale) * (codes.astype(int) - int(pair.params.zero_point))
        error = np.abs(real.reshape(expected.shape) - expected)
        assert error.mean() <= 0.06 * max(np.ptp(expected), 1 / 256), pair.row.name


def test_rows_that_differ_in_where_they_read_only_are_told_apart() -> None:
    keras.utils.set_random_seed(3)
    graph, converted = convert(forked_net())
    x = pixels(graph, 4)
    captured = TfliteTensors(converted, 4)(x)
    fp32 = KerasActivations(graph, [row.output for row in graph.rows])(x)
    for pair, codes, expected in zip(converted.pairs, captured, fp32, strict=False):
        real = float(pair.params.scale) * (codes.astype(int) - int(pair.params.zero_point))
        error = np.mean((real.reshape(expected.shape) - expected) ** 2)
        assert error < 1e-3 * np.mean(expected**2), pair.row.name
    tensors = {pair.row.name: pair.tensor for pair in converted.pairs}
    given = conversion.adopt(graph, converted.content)  # where names say nothing
    assert {pair.row.name: pair.tensor for pair in given.pairs} == tensors


def test_a_file_of_ours_that_cannot_be_paired_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(
        model: TfliteModel, rows: Sequence[LayerNode], ends: Sequence[str]
    ) -> dict[int, tuple[str, ...]]:
        found = provenance.origins(model, rows, ends)
        return dict(zip(found, [*list(found.values())[1:], ("stem",)], strict=True))

    monkeypatch.setattr(conversion, "origins", wrong)
    with pytest.raises(checks.ConversionError, match=r"a defect of tfqdyn, not of your model"):
        convert(residual_net())


def test_weights_that_round_to_nothing_are_still_ours() -> None:
    """All of the first kernel's are below the finest step that TFLite has."""
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv"),
                              keras.layers.Flatten(), keras.layers.Dense(2)])  # fmt: skip
    kernel = 1e-12 * model.layers[0].get_weights()[0]
    model.layers[0].set_weights([kernel, np.ones(4)])
    _, converted = convert(model)
    assert converted.pairs[0].distance == pytest.approx(1.0)


def test_an_offset_beyond_int32_is_paired_all_the_same() -> None:
    """3 in steps of an input that all but vanished: TFLite keeps the largest int32."""
    layers = [keras.layers.Conv2D(4, 3, use_bias=False, name="conv"),
              keras.layers.Rescaling(1.0, 3.0, name="shift"), keras.layers.Flatten()]  # fmt: skip
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers, keras.layers.Dense(2)])
    model.layers[0].set_weights([1e-6 * model.layers[0].get_weights()[0]])
    _, converted = convert(model)
    (bias,) = (t for t in converted.model.tensors if t.data is not None and t.dtype == "int32"
               and t.data.shape == (4,) and t.data.any())  # fmt: skip
    assert (bias.data == 2**31 - 1).all()
    assert [pair.row.kind for pair in converted.pairs] == ["conv", "affine", "dense"]


def test_damaged_files_are_refused() -> None:
    _, converted = convert(residual_net())
    with pytest.raises(TfliteFileError, match="identifier TFL3"):
        parse(b"not a model")
    with pytest.raises(TfliteFileError, match="damaged or truncated"):
        parse(converted.content[: len(converted.content) // 3])


def test_the_resolver_is_named() -> None:
    assert interpreter.name().endswith("BUILTIN_WITHOUT_DEFAULT_DELEGATES")


@pytest.mark.parametrize("left", ["stem", "add", "pool", "concat", "gap", "logits_softmax"])
def test_all_rows_but_one_stay_in_floats(left: str) -> None:
    """The converter pulls ops before a concatenation into codes unless casts stand between."""
    names = [row.name for row in fold_batchnorm(lower(residual_net())).graph.rows]
    graph, converted = convert(residual_net(), tuple(name for name in names if name != left))
    in_codes = [pair.row.name for pair in converted.pairs if pair.params is not None]
    assert in_codes == [left]
    x = pixels(graph, 4)
    codes = dict(zip(names, map(np.array, TfliteTensors(converted, 4)(x)), strict=False))
    exact = dict(zip(names, KerasActivations(graph, [r.output for r in graph.rows])(x)))
    (pair,) = [pair for pair in converted.pairs if pair.row.name == left]
    found = dequantize(codes[left].reshape(exact[left].shape), pair.params)
    inside = exact[left].clip(*map(float, pair.params.range))
    assert np.abs(found - inside).max() <= 2.5 * max(float(pair.params.scale), 2 / 255)
