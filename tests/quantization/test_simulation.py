"""Simulated bit widths: grids by hand, 8 bits against the true file, the marks in the results."""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import randomize

from tfqdyn import pipeline, results
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset, preprocess
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.graph import Graph, Node
from tfqdyn.network.lowering import lower
from tfqdyn.numerics.grid import dequantize, from_range, quantize
from tfqdyn.quantization.calibration import SiteRange
from tfqdyn.quantization.fakequant import compute
from tfqdyn.quantization.simulation import grid, simulate
from tfqdyn.quantization.widths import bits_of, factorization, mean_bits
from tfqdyn.report.facts import facts
from tfqdyn.results import layercsv, restore
from tfqdyn.schemes import BitWidths
from tfqdyn.show import tables

TRUE = AnalysisConfig(preprocessing="tf", trials=1, calibration_size=8)
SIMULATED = replace(TRUE, scheme="simulated")
SITE = SiteRange(-1.0, 2.0, -1.0, 2.0, np.zeros(8), np.ones(8), np.ones(1, np.int64))


def test_grids_by_hand() -> None:
    # 2 bits over [-1, 2]: step 1, values -1, 0, 1, 2
    values = tf.constant([-3.0, -0.6, -0.4, 0.6, 1.4, 1.6, 9.0])
    assert grid(-1.0, 2.0, 2).round(values).numpy().tolist() == [-1, -1, 0, 1, 1, 2, 2]
    # 0 is always held: over [1, 3] the grid is 0, 1, 2, 3
    assert grid(1.0, 3.0, 2).round(values).numpy().tolist() == [0, 0, 0, 1, 1, 2, 3]
    assert grid(0.0, 0.0, 2).round(values).numpy().tolist()[0] == 0
    # a grid a channel: steps 1 and 10
    both = grid(np.array([-1.0, -10.0]), np.array([2.0, 20.0]), 2)
    rounded = both.round(tf.constant([[[1.4, 14.0]], [[0.4, 6.0]]])).numpy()
    assert rounded.tolist() == [[[1.0, 10.0]], [[0.0, 10.0]]]


def test_ends_are_values_of_the_grid() -> None:
    """Over [-1.4, 4.6] the step is 2: -1.4 is 0.7 steps below 0, so the grid is -2, 0, 2, 4."""
    lows, highs = grid(-1.4, 4.6, 2).ends
    assert (lows, highs) == (pytest.approx([-2.0]), pytest.approx([4.0]))
    extremes = grid(-1.4, 4.6, 2).round(tf.constant([-9.0, 9.0])).numpy()
    assert extremes == pytest.approx([-2.0, 4.0], abs=1e-6)


def test_eight_bits_are_our_affine_quantization(rng: np.random.Generator) -> None:
    values = rng.normal(size=500).astype(np.float32)
    params = from_range(-1.7, 2.2)
    expected = dequantize(quantize(values, params), params)
    np.testing.assert_allclose(
        grid(-1.7, 2.2, 8).round(tf.constant(values)).numpy(), expected, atol=1e-5
    )


def node(op: str, shape: tuple[int, ...], **config: object) -> Node:
    return Node("n", op, ("x",), (4, 4, shape[-1]), config, {"kernel": np.ones(shape, np.float32)})


@pytest.mark.parametrize(("layer", "rate", "weights"), [
    (node("conv", (3, 3, 16, 8), groups=1), 0.0, 4),
    (node("conv", (3, 3, 4, 8), groups=4), 0.5, 6),  # f = 4 of C = 16: log 4 / log 16
    (node("conv", (3, 3, 1, 16), groups=16), 1.0, 8),
    (node("depthwise", (3, 3, 16, 1)), 1.0, 8),
    (node("dense", (16, 8)), 0.0, 4),
])  # fmt: skip
def test_mixed_widths_follow_the_depth_factorization(
    layer: Node, rate: float, weights: int
) -> None:
    assert factorization(layer) == pytest.approx(rate)
    assert bits_of(layer, BitWidths(4, 3, extra=4)) == (weights, weights - 1)
    assert bits_of(layer, BitWidths(15, 15, extra=4)) == (16 if rate else 15, 16 if rate else 15)


def test_mean_bits_by_hand() -> None:
    first = Node("in", "input", (), (4, 4, 8))
    depthwise = replace(node("depthwise", (3, 3, 8, 1)), name="dw", inputs=("in",))
    depthwise = replace(depthwise, output_shape=(4, 4, 8))
    pointwise = replace(node("conv", (1, 1, 8, 8), groups=1), name="pw", inputs=("dw",))
    found = mean_bits(Graph("g", (first, depthwise, pointwise)), BitWidths(4, 8, extra=2))
    # 72 weights of 6 bits, 64 of 4; multiplications 16 x 72 and 16 x 64
    assert found["per_weight"] == pytest.approx((72 * 6 + 64 * 4) / 136)
    assert found["per_mac"] == pytest.approx((72 * 6 + 64 * 4) / 136)


def chain() -> keras.Model:
    k = keras.layers
    return randomize(keras.Sequential([
        keras.Input((12, 12, 3)), k.Conv2D(8, 3), k.BatchNormalization(), k.ReLU(6.0),
        k.DepthwiseConv2D(3, activation="relu"), k.Conv2D(8, 1, groups=2), k.LeakyReLU(0.1),
        k.MaxPooling2D(2), k.GlobalAveragePooling2D(), k.Dense(4, activation="softmax"),
    ]))  # fmt: skip


def test_eight_bits_by_simulation_are_close_to_the_file(dataset: Dataset) -> None:
    keras.utils.set_random_seed(1)
    model = chain()
    true = pipeline.analyze(model, dataset, TRUE)
    simulated = pipeline.analyze(model, dataset, SIMULATED)
    for a, b in zip(true.layers, simulated.layers, strict=True):
        near = 1.5 if len(a.output_shape) == 3 else 5  # dB; few values differ by luck
        assert b.sqnr_db.mean == pytest.approx(a.sqnr_db.mean, abs=near), a.name
        assert b.clipped_share.mean == pytest.approx(a.clipped_share.mean, abs=0.01), a.name
        assert b.activations == a.activations
        assert b.quantization[0][0] == pytest.approx(a.quantization[0][0], rel=1e-4)
        assert b.quantization[0][1] == a.quantization[0][1]
    assert simulated.summary.fp32_accuracy == true.summary.fp32_accuracy
    assert simulated.model.bytes_quantized < true.model.bytes_quantized


def test_bits_channels_and_mixed_widths_help_where_they_should(
    network: keras.Model, dataset: Dataset
) -> None:
    kernel = network.get_layer("dw").get_weights()[0]
    network.get_layer("dw").set_weights([kernel * np.geomspace(1, 100, 8)[:, None]])

    def of(**bits: object) -> dict[str, results.LayerResult]:
        done = pipeline.analyze(network, dataset, replace(SIMULATED, **bits))
        return {layer.name: layer for layer in done.layers}

    four = of(weight_bits=4)
    wide = of(weight_bits=16, activation_bits=16)
    channels = of(weight_bits=4, per_channel=("weights",))
    mixed = of(weight_bits=4, mixed_bits=4)
    assert wide["dw"].sqnr_db.mean > 70  # 16 bits of 6 dB, less what spans the ranges
    narrow = min(four["dw"].channels.sqnr_db)  # a channel that spans a hundredth of the kernel
    assert narrow < 3
    assert min(channels["dw"].channels.sqnr_db) > narrow + 5
    # its own error is 4 bits finer, what it inherits from the regular layer before it is not
    assert mixed["dw"].sqnr_db.mean > four["dw"].sqnr_db.mean + 2
    assert [mixed[n].weight_bits for n in ("stem", "dw", "pw", "grouped")] == [4, 8, 4, 5]
    assert [mixed[n].activation_bits for n in ("stem", "dw", "add")] == [8, 12, 8]
    finer = of(activation_bits=4, per_channel=("activations",))
    assert of(activation_bits=4)["pw"].sqnr_db.mean < finer["pw"].sqnr_db.mean


def test_layers_left_in_fp32_are_exact(network: keras.Model, dataset: Dataset) -> None:
    names = tuple(layer.name for layer in pipeline.analyze(network, dataset, TRUE).layers)
    kept = replace(SIMULATED, weight_bits=2, float_layers=names)
    done = pipeline.analyze(network, dataset, kept)
    assert done.layers[0].quantization == (None,)
    assert done.layers[0].sqnr_db.mean > 30  # only the image is rounded, to 8 bits


def test_what_a_float_layer_hands_on_is_rounded(network: keras.Model, dataset: Dataset) -> None:
    """A file quantizes behind a float row; so does a simulation, for all readers but float ones."""
    graph = fold_batchnorm(lower(network)).graph
    names = [graph.nodes[0].name, *(row.name for row in graph.rows)]
    made = simulate(graph, dict.fromkeys(names, SITE), BitWidths(activations=4), ("stem",))
    images = preprocess(dataset.x_test[:4], "tf")
    rows = dict(zip(names[1:], made.runner(4)(images), strict=False))
    stem, grid_of_stem = tf.constant(rows["stem"]), made.grids["stem"]
    assert np.abs(rows["stem"] - grid_of_stem.round(stem).numpy()).max() > 0.05  # 15 steps of 0.2
    dw = compute(made.graph.by_name["dw"], [grid_of_stem.round(stem)])
    expected = made.grids["dw"].round(tf.nn.relu(dw)).numpy()
    np.testing.assert_allclose(rows["dw"], expected, atol=1e-6)


def test_float_layers_keep_the_size_of_floats(network: keras.Model) -> None:
    graph = fold_batchnorm(lower(network)).graph
    names = [graph.nodes[0].name, *(row.name for row in graph.rows)]
    sizes = [
        simulate(graph, dict.fromkeys(names, SITE), BitWidths(weights=4), kept).size
        for kept in ((), ("stem",))
    ]
    assert sizes[1] - sizes[0] == 3 * 3 * 3 * 8 * (32 - 4) / 8


def test_results_say_that_they_are_simulated(
    network: keras.Model, dataset: Dataset, tmp_path: Path
) -> None:
    done = pipeline.analyze(network, dataset, replace(SIMULATED, weight_bits=4, mixed_bits=2))
    results.write(done, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["layers.csv", "results.json"]
    record = json.loads((tmp_path / "results.json").read_text())
    assert record["config"]["scheme"] == "simulated"
    assert record["notes"][-1].startswith("SIMULATED in fp32 arithmetic, no .tflite file: 4-bit")
    assert record["layers"][0]["weight_bits"] == 4
    header = (tmp_path / "layers.csv").read_text().splitlines()[0]
    assert "weight_bits,activation_bits,output_shape,dtype" in header
    assert "simulated" in str(tables.summary_table([done]).title)
    true = pipeline.analyze(network, dataset, TRUE)
    assert "weight_bits" not in layercsv.text(true.layers)


def test_kernels_tell_their_grids(network: keras.Model, dataset: Dataset, tmp_path: Path) -> None:
    four = replace(SIMULATED, weight_bits=4, float_layers=("logits",))
    done = pipeline.analyze(network, dataset, four)
    layers = {layer.name: layer for layer in done.layers}
    stem, pool, logits = (layers[name] for name in ("stem", "pool", "logits"))
    assert stem.folded_weights is not None
    assert stem.kernel_grid is not None
    assert logits.kernel_grid is not None
    # the range holds 0 on both sides: 15 steps over it
    assert stem.kernel_grid.scale == pytest.approx((stem.folded_weights.range / 15,), rel=1e-6)
    assert "one of the grid's 15 steps" in facts(stem)[0]
    assert (stem.dtype, stem.kernel_grid.dtype, pool.kernel_grid) == ("float32", "float32", None)
    assert (logits.kernel_grid.scale, logits.weight_bits) == ((), None)
    per_channel = pipeline.analyze(network, dataset, replace(four, per_channel=("weights",)))
    grid_of_stem = per_channel.layers[0].kernel_grid
    ranges = per_channel.layers[0].channels.folded_weight_range
    assert grid_of_stem is not None
    assert ranges is not None
    assert grid_of_stem.scale == pytest.approx([r / 15 for r in ranges], rel=1e-6)
    results.write(done, tmp_path)
    assert restore.load(tmp_path).layers == done.layers


def test_a_single_score_is_decided_at_one_half(dataset: Dataset) -> None:
    k = keras.layers
    model = keras.Sequential([
        keras.Input((12, 12, 3)), k.GlobalAveragePooling2D(), k.Dense(1, activation="sigmoid"),
    ])  # fmt: skip
    even = [np.asarray(labels) % 2 for labels in (dataset.y_test, dataset.y_train)]
    two = Dataset("two", dataset.x_test, even[0], dataset.x_train, even[1])
    done = pipeline.analyze(model, two, replace(SIMULATED, weight_bits=16, activation_bits=16))
    assert done.summary.quantized_accuracy.mean == done.summary.fp32_accuracy


def test_impossible_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 to 16 bits, received 1"):
        replace(SIMULATED, weight_bits=1)
    with pytest.raises(ValueError, match="2 to 16 bits, received 17"):
        replace(SIMULATED, activation_bits=17)
    with pytest.raises(ValueError, match=r"'activations'\] and .* received \['x'\]"):
        replace(SIMULATED, per_channel=("x",))
    with pytest.raises(ValueError, match="need scheme='simulated'"):
        replace(TRUE, weight_bits=4)
    with pytest.raises(ValueError, match="own_error"):
        replace(SIMULATED, own_error=True)


def test_uniform_widths_cost_themselves(network: keras.Model) -> None:
    graph = fold_batchnorm(lower(network)).graph
    assert mean_bits(graph, BitWidths()) == {"per_weight": 8.0, "per_mac": 8.0}
