"""Own error against a hand-made quantized op, and its sources against arithmetic by hand."""

from dataclasses import replace

import faulty_networks
import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import images

from tfqdyn.config import AnalysisConfig
from tfqdyn.measurement.capture import KerasActivations
from tfqdyn.measurement.ownsums import OwnSums
from tfqdyn.network.folding import Folded
from tfqdyn.network.graph import Graph
from tfqdyn.numerics.grid import dequantize, quantize
from tfqdyn.pipeline import analyze
from tfqdyn.quantization.fakequant import kernel_params, quantization_of
from tfqdyn.quantization.stepwise import StepwiseNetwork, steps_of
from tfqdyn.results import SOURCES, LayerResult, layercsv


def rows(folded: Folded) -> dict[str, LayerResult]:
    return {row.name: row for row in faulty_networks.ward().result(folded).layers}


def test_own_and_inherited_error_are_told_apart() -> None:
    found = rows(faulty_networks.coarse())
    assert found["pw"].own is not None
    assert found["gap"].own is not None
    assert found["pw"].own.sqnr_db.mean < 25  # the fault is here
    assert found["gap"].own.sqnr_db.mean > found["gap"].sqnr_db.mean + 10  # and goes on from here
    for row in found.values():
        assert row.own is not None
        assert row.own.qmse.mean + row.own.inherited_qmse.mean == pytest.approx(row.qmse.mean)
    stem = found["stem"]
    assert stem.own is not None
    assert stem.own.qmse.mean == pytest.approx(stem.qmse.mean, rel=1e-6)  # nothing before it


def fp32(graph: Graph) -> dict[str, np.ndarray]:
    run = KerasActivations(graph, [graph.nodes[0].name, *(r.output for r in graph.rows)])
    ward = faulty_networks.ward()
    (chunk,) = [c for c in replace(ward.material, indices=np.arange(40, 72)).chunks(graph)]
    names = [graph.nodes[0].name, *(r.name for r in graph.rows)]
    return dict(zip(names, [np.array(v) for v in run(chunk)], strict=True))


def test_sources_of_a_pointwise_layer_by_hand() -> None:
    folded, ward = faulty_networks.healthy(), faulty_networks.ward()
    found = rows(folded)["pw"].own.source_sqnr_db
    assert found is not None
    assert tuple(found) == SOURCES
    values = fp32(folded.graph)
    params = quantization_of(folded.graph, ward.material.ranges(folded))
    node = folded.graph.by_name["pw"]
    kernel, bias = (node.weights[r].astype(np.float64) for r in ("kernel", "bias"))
    weights = kernel_params(node)
    x, y = values["dw"].astype(np.float64), values["pw"].astype(np.float64)

    def decibels(other: np.ndarray) -> float:
        error = ((other - y) ** 2).sum()
        return 10 * np.log10((y**2).sum() / error) if error else np.inf

    def layer(inputs: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return np.maximum(inputs @ weight[0, 0] + bias, 0)

    rounded = dequantize(quantize(x, params["dw"]), params["dw"])
    on_grid = dequantize(quantize(kernel, weights), weights)
    scale = float(params["pw"].scale)
    wanted = {
        "input": layer(rounded, kernel),
        "weights": layer(x, on_grid),
        "requantization": np.floor(y / scale + 0.5) * scale,
        "clipping": y.clip(*(float(end) for end in params["pw"].range)),
    }
    for name, other in wanted.items():
        assert found[name].mean == pytest.approx(decibels(other), abs=0.05), name
    assert found["accumulator"].mean == np.inf  # 16 products of 8 bits do not fill 32


def test_the_images_source_is_what_the_file_makes_of_it() -> None:
    """Pixels in [-1, 1] lie between two codes: which one the file takes decides the source."""
    folded, ward = faulty_networks.healthy(), faulty_networks.ward()
    found = rows(folded)["stem"].own.source_sqnr_db
    values = fp32(folded.graph)
    x, y = values[folded.graph.nodes[0].name].astype(np.float64), values["stem"]
    scale = float(np.float32(2 / 255))
    assert ward.material.ranges(folded)[folded.graph.nodes[0].name] == (-1.0, 1.0)
    on_file = scale * np.clip(np.floor(x / scale + 0.5), -128, 127)
    kernel, bias = (folded.graph.by_name["stem"].weights[r] for r in ("kernel", "bias"))
    other = np.asarray(tf.nn.conv2d(on_file.astype(np.float32), kernel, 1, "SAME")) + bias
    error = ((np.clip(other, 0, top(folded)) - y) ** 2).sum(dtype=np.float64)
    signal = (y.astype(np.float64) ** 2).sum()
    assert found["input"].mean == pytest.approx(10 * np.log10(signal / error), abs=1e-3)


def top(folded: Folded) -> float:
    """What the stem's ReLU cuts off at."""
    (step,) = [step for step in steps_of(folded.graph) if step.node.name == "stem"]
    return step.relu.config["max_value"] or np.inf


def test_sums_that_saturate_show_up() -> None:
    """A bias far beyond 32 bits of the accumulator's unit."""
    folded = faulty_networks.healthy()
    node = folded.graph.by_name["pw"]
    bias = node.weights["bias"].copy()
    bias[0] = 1e9
    sick = faulty_networks.with_node(folded, replace(node, weights={**node.weights, "bias": bias}))
    found = rows(sick)["pw"].own.source_sqnr_db
    assert found is not None
    assert found["accumulator"].mean < 20


def test_columns_are_written_only_when_asked_for() -> None:
    ward, folded = faulty_networks.ward(), faulty_networks.healthy()
    with_own = layercsv.text(ward.result(folded).layers).splitlines()[0]
    without = layercsv.text(
        ward.result(folded, replace(faulty_networks.CONFIG, own_error=False)).layers
    )
    for column in ("own_qmse_mean", "inherited_qmse_mean", "source_sqnr_db_weights_mean"):
        assert column in with_own
        assert column not in without.splitlines()[0]


def test_fp32_rows_have_no_rounding_of_their_own() -> None:
    kept = replace(faulty_networks.healthy(), float_layers=("pw",))
    row, before = rows(kept)["pw"], rows(faulty_networks.healthy())["pw"]
    assert row.own is not None
    assert before.own is not None
    assert row.own.sqnr_db.mean > before.own.sqnr_db.mean


def test_branches_pools_and_grids_are_cut_too(network, dataset) -> None:
    from tfqdyn import pipeline
    from tfqdyn.config import AnalysisConfig

    config = AnalysisConfig(preprocessing="tf", trials=2, calibration_size=8, own_error=True)
    result = pipeline.analyze(network, dataset, config)
    for row in result.layers:
        assert row.own is not None
        assert len(row.own.qmse.trials) == 2
        assert row.own.qmse.mean <= 2 * row.qmse.mean + 1e-9, row.name


def pooled_net() -> keras.Model:
    k = keras.layers
    keras.utils.set_random_seed(6)
    x = inputs = keras.Input((12, 12, 3))
    x = k.Conv2D(6, 3, activation="relu", name="stem")(x)
    x = k.MaxPooling2D(2, name="max")(x)
    x = k.UpSampling2D(2, name="up")(x)
    x = k.AveragePooling2D(2, strides=1, name="average")(x)
    x = k.GlobalMaxPooling2D(name="largest")(x)
    return keras.Model(inputs, k.Dense(4, name="logits")(x))


def test_sources_add_up_where_nothing_is_requantized() -> None:
    """Pools that hand values on make no error but that of what they read."""
    config = AnalysisConfig("tf", trials=1, calibration_size=8, own_error=True)
    found = {row.name: row for row in analyze(pooled_net(), images(16), config).layers}
    for name in ("max", "up", "largest"):
        sources, own = found[name].own.source_sqnr_db, found[name].own.sqnr_pooled_db
        assert sources["requantization"].mean == sources["clipping"].mean == np.inf, name
        assert sources["input"].mean == pytest.approx(own.mean, abs=1e-4), name
    average = found["average"]
    assert average.own.source_sqnr_db["clipping"].mean == np.inf
    assert np.isfinite(average.own.source_sqnr_db["requantization"].mean)  # averages are rounded
    errors = [10 ** (-source.mean / 10) for source in average.own.source_sqnr_db.values()]
    assert sum(errors) == pytest.approx(10 ** (-average.own.sqnr_pooled_db.mean / 10), rel=0.1)


def test_bias_share_by_hand() -> None:
    sums = OwnSums(None, 2)
    x = np.zeros((1, 4, 2), np.float32)
    q = np.stack([np.full(4, 0.5), [1.0, -1.0, 1.0, -1.0]], axis=-1)[None].astype(np.float32)
    sums.add(x, q)
    assert sums.qmse == pytest.approx((4 * 0.25 + 4 * 1.0) / 8)
    assert sums.bias_share == pytest.approx(1.0 / 5.0)


def test_stepwise_networks_are_the_interpreter_up_to_ties() -> None:
    """The network that remedies step through, against the codes of the true uint8 one."""
    from tfqdyn.quantization.conversion import to_tflite
    from tfqdyn.tflite.running import TfliteTensors

    folded, ward = faulty_networks.healthy(), faulty_networks.ward()
    material = replace(ward.material, indices=np.arange(40, 48))
    ranges = ward.material.ranges(folded)
    converted = to_tflite(folded.graph, ranges)
    (chunk,) = list(material.chunks(folded.graph))
    codes = TfliteTensors(converted, len(chunk))(chunk)
    params = quantization_of(folded.graph, ranges)
    run = StepwiseNetwork(folded.graph, params, [chunk])
    position = {pair.row.name: i for i, pair in enumerate(converted.pairs)}
    for step in steps_of(folded.graph):
        run.advance(step)
        reader = folded.graph.readers[step.relu.name if step.relu else step.node.name]
        if step.row is not None and reader:
            ((value,),) = list(run.inputs(folded.graph.by_name[reader[0]]))
            got = quantize(np.asarray(value), params[step.row.name]).astype(int)
            distance = np.abs(got - codes[position[step.row.name]].astype(int))
            assert distance.max() <= 3, step.row  # one code apart in the stem, so more after it
            assert distance.mean() < 0.1, step.row
