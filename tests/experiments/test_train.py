"""The training command: killed and started again it ends the same, and it refuses what is wrong."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments import train
from tfqdyn import datasets

ROOT = Path(__file__).parents[2]
ONE_THREAD = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
}
TINY = (
    "--arch=dws_convnet",
    "--model_option=width=0.125",
    "--model_option=dense_units=(8,)",
    "--dataset=digits",
    "--subset=160",
    "--epochs=5",
    "--validation_images=40",
    "--checkpoints=2",
    "--batch_norm_momentum=0.9",
    "--dynamics_images=8",
)


def start(workdir: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.train", f"--workdir={workdir}", *TINY, *arguments],
        cwd=ROOT,
        env=os.environ | ONE_THREAD,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_epochs(workdir: Path, epochs: int, run: subprocess.Popen[str]) -> None:
    history = workdir / "history.csv"
    deadline = time.monotonic() + 120
    while not history.exists() or len(history.read_text().splitlines()) <= epochs:
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def table_of(output: str) -> dict[str, str]:
    """The rows of the printed table of two columns."""
    rows = [line.split("│")[1:3] for line in output.splitlines() if line.startswith("│")]
    return {name.strip(): value.strip() for name, value in rows}


def test_a_killed_run_ends_as_if_it_had_not_been(tmp_path: Path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    runs = [start(whole), start(killed)]
    wait_for_epochs(killed, 2, runs[1])
    runs[1].send_signal(signal.SIGKILL)
    runs[1].communicate()
    assert runs[1].returncode == -signal.SIGKILL
    assert not (killed / "final.keras").exists()
    again = start(killed)
    outputs = [run.communicate() for run in (runs[0], again)]
    shown = [table_of(output) for output, _ in outputs]
    assert shown[0]["epochs"] == "5", outputs[0][1]
    assert {"status", "because", "test accuracy", "images/s", "files"} <= set(shown[0])
    for row in ("status", "because", "epochs", "test accuracy"):
        assert shown[0][row] == shown[1][row]
    assert [errors for _, errors in outputs] == ["", ""]
    for name in ("history.csv", "dynamics.csv"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    with np.load(killed / "state.npz") as one, np.load(whole / "state.npz") as other:
        assert one.files == other.files
        for key in one.files:
            np.testing.assert_array_equal(one[key], other[key])
    assert {path.name for path in killed.glob("*.keras")} == {"epoch_002.keras", "final.keras"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--subset=5000"], "error: --subset=5000: there are 1438 training images."),
        (["--arch=alexnet"], "error: --arch must be one of toynet, dws_convnet,"),
        (["--recipe=none"], "error: --recipe must be one of mobilenets, thesis; "),
    ],
)
def test_bad_command_lines_end_with_one_error(tmp_path: Path, arguments: list[str], message: str):
    run = start(tmp_path / "run", *arguments)
    output, errors = run.communicate()
    assert run.returncode == 1
    assert output == ""
    assert message in errors
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_model_options_are_python_literals_or_text():
    options = ["width=0.25", "dense_units=(64,)", "batch_norm=None", "initializer=HeNorm"]
    assert train.parse_model_options("toynet", options) == {
        "width": 0.25,
        "dense_units": (64,),
        "batch_norm": None,
        "initializer": "HeNorm",
    }


@pytest.mark.parametrize("option", ["width", "depth=3", "=3"])
def test_unknown_model_options_list_the_names(option: str):
    with pytest.raises(ValueError, match=r"toynet takes NAME=VALUE .*initializer, batch_norm"):
        train.parse_model_options("toynet", [option])


def test_checkpoints_are_epochs():
    assert train.parse_checkpoints(["5", "50"]) == (5, 50)
    with pytest.raises(ValueError, match=r"epochs from 1.*last"):
        train.parse_checkpoints(["5", "last"])


def test_subset_is_drawn_by_the_seed():
    x, y = np.arange(100).reshape(100, 1, 1, 1), np.arange(100)
    dataset = datasets.Dataset("count", x[:2], y[:2], x, y)
    one, same, other = (train.subset(dataset, 10, seed).y_train for seed in (1, 1, 2))
    assert one is not None
    assert len(set(one.tolist())) == 10
    np.testing.assert_array_equal(one, same)
    assert set(one.tolist()) != set(np.asarray(other).tolist())
    assert train.subset(dataset, None, 1) is dataset
