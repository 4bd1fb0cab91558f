"""Tasks: guessed from shapes and labels, asked for, or refused; their figures by hand."""

import dataclasses
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import task_networks as nets

from tfqdyn import pipeline
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import DataError, Dataset
from tfqdyn.measurement import tasks
from tfqdyn.measurement.gauges import Regression, Segmentation
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.lowering import lower

CONFIG = AnalysisConfig(trials=1, calibration_size=6, preprocessing="tf")
X = nets.pixels(12, 8, 8, 3)


def in_tf(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / np.float32(127.5) - np.float32(1)


def test_segmentation_by_hand() -> None:
    """Labels 0 0 1 1, answers 0 1 1 1: IoU 1/2 and 2/3, three of four right; 255 counts nowhere."""
    labels = np.array([[[0, 0], [1, 1]], [[255, 255], [255, 255]]])
    gauge = Segmentation(0, labels, 3, 0.0)
    answers = np.eye(3, dtype=np.float32)[[[[0, 1], [1, 1]], [[2, 2], [2, 2]]]]
    gauge.add([answers[:1]], np.array([0]))
    other = Segmentation(0, labels, 3, 0.0)
    other.add([answers[1:]], np.array([1]))
    expected = {"mean_iou": (1 / 2 + 2 / 3) / 2, "pixel_accuracy": 3 / 4}
    assert gauge.merge(other).figures() == pytest.approx(expected)
    nothing = other.figures()
    assert nothing["mean_iou"] != nothing["mean_iou"]


def test_a_single_score_is_one_of_two_classes() -> None:
    gauge = Segmentation(0, np.array([[[0, 1, 1, 0]]]), 2, 0.5)
    gauge.add([np.array([[[[0.2], [0.9], [0.5], [0.7]]]], np.float32)], np.array([0]))
    assert gauge.figures()["pixel_accuracy"] == 0.5  # 0.5 is not above the threshold


def test_regression_is_that_of_scikit_learn(rng: np.random.Generator) -> None:
    from sklearn.metrics import mean_absolute_error, r2_score

    labels = rng.normal(1e4, 1.0, (20, 3))
    labels[:, 2] = 7.0  # all the same
    outputs = (labels + rng.normal(0, 0.5, labels.shape)).astype(np.float32)
    parts = [Regression(0, labels) for _ in range(2)]
    for part, cut in zip(parts, (slice(0, 7), slice(7, 20)), strict=True):
        part.add([outputs[cut]], np.arange(20)[cut])
    found = parts[0].merge(parts[1]).figures()
    assert found["mae"] == pytest.approx(mean_absolute_error(labels, outputs))
    assert found["r2"] == pytest.approx(r2_score(labels, outputs), abs=1e-9)


def task_of(model, labels: np.ndarray | None, task: str | None = None) -> str | None:
    graph = fold_batchnorm(lower(model)).graph
    shape = (12, *graph.input_shape)
    data = Dataset("d", np.zeros(shape, np.uint8), labels)
    return tasks.settled(graph, data, dataclasses.replace(CONFIG, task=task)).task


def test_the_task_is_guessed_from_the_shapes(rng: np.random.Generator) -> None:
    maps = rng.integers(0, 3, (12, 8, 8)).astype(np.uint8)
    assert task_of(nets.segmenter(), maps) == "segmentation"
    assert task_of(nets.segmenter(), maps[..., None]) == "segmentation"
    assert task_of(nets.segmenter(), None) == "none"
    assert task_of(nets.landmarks(), rng.normal(size=(12, 4))) == "regression"
    assert task_of(nets.landmarks(), np.arange(12) % 4) == "classification"
    assert task_of(nets.autoencoder(), rng.normal(size=(12, 8, 8, 1))) == "regression"
    assert task_of(nets.autoencoder(), maps % 2) == "segmentation"
    assert task_of(nets.detector(), rng.normal(size=(12, 16, 4))) == "regression:boxes"
    assert task_of(nets.spotter(), np.arange(12) % 5) == "classification"
    vector = keras.Input((6,))
    echo = keras.Model(vector, keras.layers.Dense(6)(keras.layers.Dense(2)(vector)))
    with pytest.raises(DataError, match=r"no task fits labels \(12,\).*--task=none to leave"):
        task_of(echo, np.arange(12) % 3)


def test_a_task_that_does_not_fit_is_refused_with_what_would(rng: np.random.Generator) -> None:
    with pytest.raises(DataError, match=r"no task fits labels \(12, 7\) .* give --task=none"):
        task_of(nets.landmarks(), rng.normal(size=(12, 7)))
    with pytest.raises(DataError, match=r"labels must lie in 0\.\.3"):
        task_of(nets.landmarks(), np.full(12, 9))
    with pytest.raises(DataError, match="task 'segmentation' does not fit"):
        task_of(nets.landmarks(), np.arange(12) % 4, "segmentation")
    with pytest.raises(DataError, match="the model's outputs are boxes, scores"):
        task_of(nets.detector(), np.arange(12), "regression:box")
    with pytest.raises(ValueError, match="task must be one of"):
        dataclasses.replace(CONFIG, task="detection")
    assert task_of(nets.landmarks(), rng.normal(size=(12, 7)), "none") == "none"


def test_a_segmenter_is_measured_with_its_labels() -> None:
    model, rng = nets.segmenter(), np.random.default_rng(0)
    labels = rng.integers(0, 3, (12, 8, 8))
    summary = pipeline.analyze(model, Dataset("s", X, labels), CONFIG).summary
    answers = model.predict(in_tf(X), verbose=0).argmax(axis=-1)
    assert summary.task == "segmentation"
    figures = {metric.name: metric for metric in summary.metrics}
    assert figures["pixel_accuracy"].fp32 == pytest.approx((answers == labels).mean())
    both = [((answers == c) & (labels == c)).sum() for c in range(3)]
    either = [((answers == c) | (labels == c)).sum() for c in range(3)]
    assert figures["mean_iou"].fp32 == pytest.approx(np.mean(np.divide(both, either)))
    assert len(figures["mean_iou"].quantized.trials) == 1
    assert (summary.fp32_accuracy, summary.loss) == (None, None)
    assert summary.outputs[0].changed_answers.mean < 0.1


METRIC = """
import keras
import numpy as np

def psnr(outputs, labels):
    assert outputs[0] is outputs["points"]
    return -10 * np.log10(np.mean((outputs[0] - labels) ** 2))

def several(outputs, labels):
    return {"count": len(outputs["points"]), "labels": float(labels is not None)}

def fails(outputs, labels):
    raise KeyError("boxes")

def text(outputs, labels):
    return "good"

value = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_metrics_of_a_test.py").write_text(METRIC)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return "own_metrics_of_a_test"


def test_the_users_own_metric(own: str) -> None:
    model, labels = nets.landmarks(), np.random.default_rng(0).normal(size=(12, 4))
    config = dataclasses.replace(CONFIG, metric=f"{own}:psnr", trials=2)
    summary = pipeline.analyze(model, Dataset("l", X, labels), config).summary
    fp32 = model.predict(in_tf(X), verbose=0)
    figures = {metric.name: metric for metric in summary.metrics}
    assert list(figures) == ["mae", "r2", "psnr"]
    expected = -10 * np.log10(np.mean((fp32 - labels) ** 2))
    assert figures["psnr"].fp32 == pytest.approx(expected, rel=1e-5)
    assert len(figures["psnr"].quantized.trials) == 2
    several = dataclasses.replace(CONFIG, metric=f"{own}:several")
    unlabeled = pipeline.analyze(model, Dataset("l", X), several).summary
    assert [(m.name, m.fp32) for m in unlabeled.metrics] == [("count", 12), ("labels", 0)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("psnr", "must be package.module:function, received 'psnr'"),
        ("no_such_module_at_all:f", "cannot be imported: ModuleNotFoundError"),
        ("own_metrics_of_a_test:nothing", "own_metrics_of_a_test has no 'nothing'"),
        ("own_metrics_of_a_test:value", "must be a function, it is int"),
        ("own_metrics_of_a_test:fails", r"failed: KeyError: 'boxes' .*points \(12, 4\)"),
        ("own_metrics_of_a_test:text", "must give a number or a dict of numbers, it gave str"),
    ],
)
def test_errors_of_the_users_metric_are_one_message(own: str, name: str, message: str) -> None:
    config = dataclasses.replace(CONFIG, metric=name)
    with pytest.raises(ValueError, match=message):
        pipeline.analyze(nets.landmarks(), Dataset("l", X), config)
