"""The script that kills commands sees what is half-written, and finds nothing of it."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import images, residual_net

from benchmarks import kills
from tfqdyn import results
from tfqdyn.config import AnalysisConfig
from tfqdyn.pipeline import analyze
from tfqdyn.report import write_report


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder, and one file more of each kind that commands write."""
    folder = tmp_path_factory.mktemp("run")
    keras.utils.set_random_seed(1)
    model, config = residual_net(), AnalysisConfig(trials=2, calibration_size=4)
    result = analyze(model, images(12), config)
    results.write(result, folder)
    write_report({"net": result}, folder / "report.html")
    model.save(folder / "net.keras")
    np.savez(folder / "step.npz", a=np.arange(1000))
    figure = plt.figure()
    for suffix in ("png", "svg"):
        figure.savefig(folder / f"layers.{suffix}")
    plt.close(figure)
    return folder


def test_nothing_is_wrong_with_whole_files(whole: Path) -> None:
    assert {path.suffix for path in whole.iterdir()} == set(kills.READERS)
    assert kills.check(whole) == []


@pytest.mark.parametrize("suffix", kills.READERS)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_cut_files_are_found(suffix: str, share: float, whole: Path, tmp_path: Path) -> None:
    source = next(path for path in whole.iterdir() if path.suffix == suffix)
    content = source.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(content[: int(share * len(content))])
    (problem,) = kills.check(tmp_path)
    assert problem.startswith(f"cut{suffix} is half-written: ")


def _one_trial_less(folder: Path) -> None:
    (folder / "trial_1.tflite").unlink()


def _other_layers(folder: Path) -> None:
    lines = (folder / "layers.csv").read_text().splitlines(keepends=True)
    (folder / "layers.csv").write_text("".join(lines[:-1]))


def _odd_name(folder: Path) -> None:
    (folder / "results.json.tmp").write_text(json.dumps({}))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_one_trial_less, "has ['trial_0.tflite'] for 2 trials"),
        (_other_layers, "layers.csv and results.json are of two runs"),
        (_odd_name, "results.json.tmp is no file that a command writes"),
    ],
)
def test_folders_of_two_runs_are_found(
    change: Callable[[Path], None], problem: str, whole: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(whole, tmp_path / "run")
    change(folder)
    assert [problem in found for found in kills.check(folder)] == [True]


def test_what_a_last_run_left_out_or_changed_is_found(whole: Path, tmp_path: Path) -> None:
    other = shutil.copytree(whole, tmp_path / "run")
    assert kills.differences(whole, other) == []
    (other / "layers.png").unlink()
    (other / "old.csv").touch()
    (other / "results.json").write_text("{}")
    assert kills.differences(whole, other) == [
        "layers.png is missing",
        "old.csv is left over",
        "results.json differs from that of the undisturbed run",
    ]


def test_a_killed_analysis_leaves_nothing_half_written(tmp_path: Path) -> None:
    kills.make_files(tmp_path)
    assert kills.disturbed("analyze", tmp_path, 0, random.Random(0), 2) == []
