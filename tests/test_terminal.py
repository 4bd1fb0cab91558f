"""What the commands write where no terminal is: tables on stdout, errors alone on stderr.

`tfqdyn analyze` is in test_cli.py, `experiments.train` in experiments/test_train.py.
"""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import complaints, images, residual_net
from rich.table import Table

from tfqdyn import console

ROOT = Path(__file__).parents[1]
NOISE = ("oneDNN", "cuda", "I0000", "WARNING", "Warning", "deprecat", "Traceback")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of this environment, without the tests' own way of silencing TensorFlow."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("terminal")
    keras.utils.set_random_seed(1)
    residual_net().save(folder / "m.keras")
    data = images(20)
    np.savez(folder / "d.npz", x_test=data.x_test, y_test=data.y_test)
    return folder


def given(files: Path) -> tuple[str, ...]:
    return (
        f"--model={files}/m.keras", f"--data={files}/d.npz", "--trials=1", "--calibration_size=8",
    )  # fmt: skip


COMMANDS = {
    "remedy": ("tfqdyn.cli", "remedy", "--remedies=zero_variance", "--out={}/cured"),
    "list": ("experiments.run", "--list"),
}
TITLES = {
    "remedy": ("diagnosis", "fp32 against 8 bits", "1_zero_variance"),
    "list": ("Artifacts", "mobilenets/figure_1"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_stdout_holds_tables_and_stderr_nothing(name: str, files: Path) -> None:
    command = [part.format(files) for part in COMMANDS[name]]
    done = run(*command, *(given(files) if name == "remedy" else ()))
    assert (done.returncode, complaints(done.stderr)) == (0, "")
    for title in TITLES[name]:
        assert title in done.stdout
    told = done.stdout.replace("WARNING: fp32 accuracy is", "")  # random labels: ours
    assert not [noise for noise in NOISE if noise in told]
    assert "\x1b" not in done.stdout  # neither colours nor a cursor that moves


def test_verbosity_tells_where_an_error_came_from(files: Path) -> None:
    done = run("tfqdyn.cli", "analyze", "--out=/dev/null/x", "--verbosity=1", *given(files))
    assert done.returncode == 1
    assert "Traceback" in done.stderr


FAILING = {
    "run": (("experiments.run", "--artifact=mobilenets/figure_99"), "figure_99"),
}


@pytest.mark.parametrize("name", FAILING)
def test_errors_are_one_line_on_stderr(name: str, files: Path) -> None:
    command, message = FAILING[name]
    done = run(*(part.format(files) for part in command))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


def test_names_are_shown_as_they_are(capsys: pytest.CaptureFixture) -> None:
    """Rich takes brackets for markup and colons for emoji; terminals obey control characters."""
    table = Table("[/x]", title="[red]t")
    table.add_row("[bold]:smile:\x1b[2J\u202e")
    console.print_tables([table], ["[/y]\x9b31m"])
    out, _ = capsys.readouterr()
    for text in ("[/x]", "[red]t", "[bold]:smile:\\x1b[2J\\u202e", "[/y]\\x9b31m"):
        assert text in out
    console.failure("no \x1b[31m\nfile")
    assert capsys.readouterr().err == "tfqdyn: no \\x1b[31m\nfile\n"
