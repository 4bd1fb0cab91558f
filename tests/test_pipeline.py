import csv
import dataclasses
import io
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import images, residual_net

from tfqdyn import results
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import DataError, Dataset
from tfqdyn.measurement import sampling
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.network.trace import UnsupportedModelError
from tfqdyn.pipeline import analyze
from tfqdyn.results import RunResult, estimates, spread
from tfqdyn.show import figures, tables
from tfqdyn.tflite.file import TfliteFileError

CONFIG = AnalysisConfig(preprocessing="tf", trials=2, calibration_size=8)


@pytest.fixture(scope="module")
def result() -> RunResult:
    keras.utils.set_random_seed(1)
    return analyze(residual_net(), images(24), CONFIG)


def test_every_layer_has_its_row(result: RunResult) -> None:
    assert [(row.number, row.name) for row in result.layers] == [
        (1, "stem"), (2, "dw"), (3, "pw"), (None, "add"), (4, "grouped"), (None, "pool"),
        (None, "concat"), (None, "gap"), (5, "logits"), (None, "logits_softmax"),
    ]  # fmt: skip
    assert result.skipped == {"dropout": "is off at inference"}
    for row in result.layers:
        assert len(row.qmse.trials) == 2
        assert row.sqnr_db.mean > 15
        assert row.qce.mean == pytest.approx(row.entropy.mean + row.qkl_div.mean)
        assert len(row.channels.sqnr_db) == row.output_shape[-1]


def test_folded_and_original_weights_are_both_described(result: RunResult) -> None:
    keras.utils.set_random_seed(1)
    model = residual_net()
    stem = result.layers[0]
    (kernel,) = model.get_layer("stem").get_weights()
    gamma, _, _, variance = model.get_layer("stem_bn").get_weights()
    scale = gamma / np.sqrt(variance + 1e-3)
    assert stem.weights.range != stem.folded_weights.range
    folded = np.ptp((kernel * scale).reshape(-1, 8), axis=0)
    assert stem.channels.folded_weight_range == pytest.approx(folded, rel=1e-5)


@pytest.mark.parametrize(
    "change",
    [{"batch_size": 1}, {"batch_size": 5}, {"threads": 1}, {"threads": 3}, {"threads": 5}],
)
def test_neither_batches_nor_threads_change_a_figure(result: RunResult, change: dict) -> None:
    keras.utils.set_random_seed(1)
    again = analyze(residual_net(), images(24), dataclasses.replace(CONFIG, **change))
    assert again.summary == result.summary
    for a, b in zip(again.layers, result.layers, strict=True):
        assert a == b
    assert again.data.sha256 == result.data.sha256


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 50])
def test_chunks_can_be_cut_into_their_parts(threads: int, batch_size: int) -> None:
    graph = fold_batchnorm(lower(residual_net(size=96))).graph
    rows = graph.rows
    config = dataclasses.replace(CONFIG, threads=threads, batch_size=batch_size)
    for factor in (1, 2, 3):
        size, parts = sampling.chunking(graph, rows, config, factor * sampling.CHUNK_BYTES)
        assert (size % parts, size >= 2, parts <= threads) == (0, True, True)
        assert parts == sampling.chunking(graph, rows, config)[1]


def test_seeds_draw_other_images(result: RunResult) -> None:
    other = analyze(residual_net(), images(24), dataclasses.replace(CONFIG, seed=1))
    assert other.data.calibration_images != result.data.calibration_images


def test_calibration_falls_back_on_test_images_and_says_so() -> None:
    data = images(24)
    only_test = Dataset("t", data.x_test, data.y_test)
    config = dataclasses.replace(CONFIG, trials=1, max_images=10)
    found = analyze(residual_net(), only_test, config)
    assert found.data.calibration_split == "x_test"
    assert "no x_train" in found.notes[0]
    assert found.data.images == 10
    assert found.summary.quantized_accuracy.std is None


@pytest.mark.parametrize("calibrator", ["minmax", "percentile", "mse"])
def test_calibrators_give_working_networks(calibrator: str) -> None:
    config = dataclasses.replace(CONFIG, calibrator=calibrator, trials=1)
    found = analyze(residual_net(), images(24), config)
    assert all(row.sqnr_db.mean > 10 for row in found.layers)


def test_layers_left_in_fp32_make_less_error(result: RunResult) -> None:
    kept = tuple(row.name for row in result.layers[:-1])
    found = analyze(residual_net(), images(24), dataclasses.replace(CONFIG, float_layers=kept))
    assert found.layers[-2].quantization == (None, None)
    assert found.summary.qkl_div.mean < result.summary.qkl_div.mean


@pytest.mark.parametrize("ending", ["sigmoid", None])
def test_a_single_score_is_two_classes(ending: str | None) -> None:
    k = keras.layers
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((12, 12, 3)), k.Conv2D(4, 3), k.GlobalMaxPooling2D(),
         k.Dense(1, activation=ending)]
    )  # fmt: skip
    data = images(24, classes=2)
    found = analyze(model, data, dataclasses.replace(CONFIG, trials=1))
    scores = model.predict(data.x_test / 127.5 - 1, verbose=0)[:, 0]
    expected = np.mean((scores > (0.5 if ending else 0.0)) == data.y_test)
    assert found.summary.fp32_accuracy == pytest.approx(expected)
    assert abs(found.summary.quantized_accuracy.mean - expected) <= 2 / 24


def test_results_are_written_as_specified(result: RunResult, tmp_path: Path) -> None:
    results.write(result, tmp_path)
    record = results.read(tmp_path)
    assert record["schema"] == 1
    assert set(record) >= {
        "config", "seed", "versions", "model", "data", "summary", "layers", "skipped",
    }  # fmt: skip
    assert set(record["versions"]) >= {"python", "tensorflow", "keras", "tfqdyn", "interpreter"}
    assert set(record["model"]) >= {
        "name", "parameters", "macs", "bytes_fp32", "bytes_quantized",
    }  # fmt: skip
    assert set(record["summary"]["qmse"]) == {"mean", "std", "trials"}
    assert record["config"]["percentile"] == 5.0
    layer = record["layers"][0]
    for name in ("weights", "folded_weights"):
        assert set(layer[name]) >= {"range", "average_precision"}
    assert layer["activations"]["range"]["mean"] == result.layers[0].activations.range.mean
    rows = list(csv.DictReader(io.StringIO((tmp_path / "layers.csv").read_text())))
    assert [row["name"] for row in rows] == [row.name for row in result.layers]
    assert list(rows[0])[:5] == [
        "number", "name", "kind", "weight_range", "weight_average_precision",
    ]  # fmt: skip
    assert float(rows[0]["qmse_mean"]) == result.layers[0].qmse.mean
    assert rows[3]["number"] == rows[3]["weight_range"] == ""
    assert sorted(p.name for p in tmp_path.glob("*.tflite")) == ["trial_0.tflite", "trial_1.tflite"]
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_infinities_survive_json(result: RunResult, tmp_path: Path) -> None:
    worst = dataclasses.replace(
        result.layers[0], name="inf", sqnr_db=spread([float("inf"), float("-inf")])
    )
    results.write(dataclasses.replace(result, layers=(worst,)), tmp_path)
    text = (tmp_path / "results.json").read_text()
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    (layer,) = results.read(tmp_path)["layers"]
    assert layer["sqnr_db"] == {
        "mean": None, "std": None, "trials": [float("inf"), float("-inf")],
    }  # fmt: skip
    assert layer["name"] == "inf"


def test_spread_spelled_by_hand() -> None:
    assert spread([1.0, 2.0, 6.0]) == results.Spread(3.0, 7.0**0.5, (1.0, 2.0, 6.0))
    assert spread([4.0]).std is None
    with pytest.raises(ValueError, match="at least one trial"):
        spread([])


def test_a_spanning_channel_is_named() -> None:
    model = residual_net()
    (kernel,) = model.get_layer("dw").get_weights()
    kernel[:, :, 0] *= 200
    model.get_layer("dw").set_weights([kernel])
    found = analyze(model, images(24), dataclasses.replace(CONFIG, trials=1))
    worst = {r.layer.name: r.text for r in estimates.worst_layers(found, 10)}
    assert "one channel spans" in worst["dw"]
    assert found.layers[1].folded_weights.average_precision < 0.25


def test_tables_show_every_figure(result: RunResult) -> None:
    from rich.console import Console

    console = Console(width=120, record=True, file=io.StringIO())
    console.print(tables.summary_table([result, result]))
    console.print(tables.worst_table(result, 3))
    text = console.export_text()
    for expected in ("fp32 accuracy", "output QKL-Div", "residual", "the 3 worst layers"):
        assert expected in text


def test_figures_draw_numbered_layers(result: RunResult, tmp_path: Path) -> None:
    axes = figures.layerwise({"a": result.layers, "b": result.layers}, "qmse")
    assert [line.get_label() for line in axes.get_lines()] == ["a", "b"]
    assert list(axes.get_lines()[0].get_xdata()) == [1, 2, 3, 4, 5]
    precision = figures.layerwise({"": result.layers}, "average_precision")
    labels = [line.get_label() for line in precision.get_lines()]
    assert labels == ["weights", "folded weights", "activations"]
    with pytest.raises(ValueError, match="panel must be one of"):
        figures.layerwise({"": result.layers}, "nonsense")
    figures.save(figures.overview({"": result.layers}), tmp_path / "layers.png")
    assert (tmp_path / "layers.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trials": 0}, "trials must be at least 1, received 0"),
        ({"calibration_size": 0}, "calibration_size must be at least 1"),
        (
            {"scheme": "int4"},
            r"scheme must be one of \['uint8', .*, 'simulated', .*\], received 'int4'",
        ),
        ({"calibrator": "median"}, r"calibrator must be one of \['minmax'"),
        ({"preprocessing": "x"}, r"preprocessing must be one of \['auto', 'caffe'"),
        ({"percentile": 60.0}, r"percentile must lie in \[0, 50\)"),
        ({"epsilon": 0.0}, "epsilon must lie"),
        (
            {"scheme": "int16x8", "percentile": 2.0},
            r"percentile: only schemes uint8 and int8 take that",
        ),
        ({"scheme": "int8", "percentile": 2.0}, r"percentile is for calibrators .* with 'minmax'"),
        (
            {"calibrator": "mse", "percentile": 2.0},
            r"percentile is for calibrators \['percentile',",
        ),
    ],
)
def test_impossible_settings_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **change)


def test_labels_that_fit_no_output_are_refused() -> None:
    model = keras.Sequential([keras.Input((12, 12, 3)), keras.layers.Conv2D(4, 3)])
    with pytest.raises(DataError, match=r"no task fits labels \(4,\) of int64 and outputs conv2d"):
        analyze(model, images(4), CONFIG)


def test_names_that_tensorflow_refuses() -> None:
    """It takes letters, digits and "._->"; "é" and "ê" stay two names in its place."""
    k = keras.layers
    x = inputs = keras.Input((12, 12, 3), name="i n")
    x = k.Conv2D(2, 3, name="é")(k.Conv2D(2, 3, name="ê")(x))
    x = k.GlobalAveragePooling2D(name="_p")(x)
    model = keras.Model(inputs, k.Dense(4, name="$x$\x1b[2J")(x), name="[m]")
    found = analyze(model, images(8), CONFIG)
    assert [row.name for row in found.layers] == ["ê", "é", "_p", "$x$\x1b[2J"]
    assert found.model.name == "[m]"


def test_networks_that_compute_nothing_are_refused() -> None:
    model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten()])
    data = Dataset("small", np.zeros((4, 2, 2, 1)), np.arange(4))
    with pytest.raises(UnsupportedModelError, match="no layer that computes"):
        analyze(model, data, CONFIG)


def test_what_the_interpreter_refuses_is_told() -> None:
    """Images at the end of float32 give a scale that the first bias does not fit to."""
    x = images(12).x_test.astype(np.float32)
    data = Dataset("huge", np.where(x > 250, np.float32(-3e38), x), images(12).y_test)
    with pytest.raises(
        TfliteFileError, match=r"interpreter refuses the \.tflite file: .*scale_diff"
    ):
        analyze(residual_net(), data, CONFIG)


def test_what_does_not_fit_into_memory_is_refused_before_any_work() -> None:
    k = keras.layers
    layers = [
        keras.Input((12, 12, 3)),
        k.UpSampling2D(40_000),
        k.GlobalAveragePooling2D(),
        k.Dense(4),
    ]
    with pytest.raises(ValueError, match=r"activations of two images take 5,529\.6 GB, more than"):
        analyze(keras.Sequential(layers), images(8), AnalysisConfig(trials=1, calibration_size=4))
