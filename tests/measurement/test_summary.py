import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import images
from reported import analyzed
from rich.console import Console

from tfqdyn import results
from tfqdyn.config import AnalysisConfig
from tfqdyn.measurement import summary
from tfqdyn.measurement.measured import Measured
from tfqdyn.measurement.outputs import Output, OutputSums
from tfqdyn.measurement.tasks import Plan
from tfqdyn.numerics import paired
from tfqdyn.pipeline import analyze
from tfqdyn.report.inputs import named_runs
from tfqdyn.report.summary import headline, rows
from tfqdyn.results import Loss, restore, spread
from tfqdyn.show import tables


def test_the_loss_is_that_of_the_files_answers(network) -> None:
    """Lost and gained images, recomputed from Keras' and the deployed outputs."""
    data = images(24)
    config = AnalysisConfig(preprocessing="tf", trials=2, calibration_size=6, max_images=15)
    found = analyze(network, data, config)
    loss = found.summary.loss
    scored = np.array(found.data.scored[0])
    chosen = data.x_test[scored] / np.float32(127.5) - np.float32(1)
    right = network.predict(chosen, verbose=0).argmax(axis=1) == data.y_test[scored]
    assert found.summary.fp32_accuracy == right.mean()
    for k, (lost, gained) in enumerate(zip(loss.lost, loss.gained, strict=True)):
        assert set(lost) <= set(scored[right])
        assert set(gained) <= set(scored[~right])
        points = 100 * (len(lost) - len(gained)) / 15
        assert loss.points.trials[k] == pytest.approx(points)
        quantized = found.summary.quantized_accuracy.trials[k]
        assert points == pytest.approx(100 * (found.summary.fp32_accuracy - quantized))
        assert loss.mcnemar_p[k] == paired.mcnemar_p(len(lost), len(gained))
    low, high = loss.interval
    assert low < loss.points.mean < high


def test_losses_of_different_images_spelled_by_hand() -> None:
    """Trial 0 scores images 2, 5, 7 and 9; trial 1 images 5, 7 and 11."""
    first, second = np.array([[1, 0, -1, 1]]), np.array([[1, 0, 0]])
    scored = [np.array([2, 5, 7, 9]), np.array([5, 7, 11])]
    loss = summary.loss_of([first, second], scored)
    assert loss.lost == ((2, 9), (5,))
    assert loss.gained == ((7,), ())
    assert loss.points.trials == pytest.approx((25, 100 / 3))
    assert loss.mcnemar_p == (1.0, 1.0)
    nan = np.nan
    table = [[1, 0, -1, 1, nan], [nan, 1, 0, nan, 0]]
    assert loss.interval == pytest.approx(tuple(100 * e for e in paired.interval(table)))


def test_the_loss_comes_back_from_the_file(tmp_path: Path) -> None:
    result = analyzed()
    results.write(result, tmp_path)
    record = json.loads((tmp_path / "results.json").read_text())["summary"]["loss"]
    assert set(record) == {
        "points",
        "interval",
        "lost",
        "gained",
        "mcnemar_p",
        "wrong",
    }
    assert restore.load(tmp_path).summary == result.summary


LOSS = Loss(spread([2.0, 4.0]), (-0.5, 6.25), ((1, 2, 3), (1,)), ((), ()), (0.25, 1.0))


def shown(loss: Loss | None) -> str:
    result = analyzed()
    console = Console(record=True, width=120)
    changed = dataclasses.replace(result.summary, loss=loss)
    console.print(tables.summary_table([dataclasses.replace(result, summary=changed)]))
    return console.export_text()


def test_tables_tell_the_loss_from_the_absolute_decrease() -> None:
    text = shown(LOSS)
    assert "accuracy lost, points (95 %)" in text
    assert "+3.00 (-0.50 to +6.25)" in text
    assert "0.25 to 1" in text
    assert "percent accuracy decrease, absolute" in text
    assert "lost" not in shown(None)  # a run saved before there were losses


@pytest.mark.parametrize(
    ("fp32", "quantized", "ends", "expected"),
    [
        (0.9, 0.86, (1.0, 7.0), "costs 4.0 points of accuracy (95 % interval 1.0 to 7.0 points)"),
        (0.8, 0.9, (-15.0, -5.0), "gains 10.0 points of accuracy (95 % interval 5.0 to 15.0"),
        (0.8, 0.8, (-1.0, 1.0), "costs no accuracy (95 % interval \N{MINUS SIGN}1.0 to"),
    ],
)
def test_the_headline_says_what_is_known(
    fp32: float, quantized: float, ends: tuple[float, float], expected: str
) -> None:
    result = analyzed()
    changed = dataclasses.replace(
        result.summary,
        fp32_accuracy=fp32,
        quantized_accuracy=spread([quantized]),
        loss=dataclasses.replace(LOSS, interval=ends),
    )
    run = dataclasses.replace(result, summary=changed, warnings=())
    assert expected in headline(named_runs([run]), [()])
    headings = [row.heading for row in rows(named_runs([run]))]
    first = headings.index("accuracy lost, points")
    assert headings[first : first + 4] == [
        "accuracy lost, points", "95 % interval of the loss", "McNemar's exact p",
        "percent accuracy decrease, absolute",
    ]  # fmt: skip


def test_a_gain_that_the_absolute_decrease_hides() -> None:
    """fp32 is right about 1 of 4 images, the quantized network about 3: -50 points, not 200 %."""
    logits = np.eye(4, dtype=np.float32)
    deployed = SimpleNamespace(output_grids=(None,))
    output = Output("logits", "logits", (4,), classes=True, logits="logits")
    sums = OutputSums(output)
    sums.add(logits, logits)
    part = Measured(
        trials=[SimpleNamespace(deployed=deployed)], scored=np.arange(4), values=[],
        pairs=[], plan=Plan((output,), "classification", 0, list), outputs=[[sums]],
        logits=logits, changed_logits=None, gauges=[[], []], powers=[np.ones(4)],
        quantized_logits=[logits.astype(np.float64)],
        scores=[np.eye(4, dtype=np.float32)[[0, 2, 3, 3]]], digests=[],
    )  # fmt: skip
    found = summary.summarize([part], np.array([0, 2, 3, 1]))
    assert (found.fp32_accuracy, found.quantized_accuracy.mean) == (0.25, 0.75)
    assert found.percent_accuracy_decrease.mean == 200
    assert found.loss.points.mean == -50
    assert (found.loss.lost, found.loss.gained) == (((),), ((1, 2),))
