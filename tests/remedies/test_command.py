"""`tfqdyn remedy` through the entry point, on a network with branches, groups and pools."""

from pathlib import Path

import numpy as np
import pytest
from conftest import complaints, images, residual_net

from tfqdyn import cli
from tfqdyn.results import restore


def run(folder: Path, *given: str) -> int:
    data = images(20)
    np.savez(folder / "d.npz", x_test=data.x_test, y_test=data.y_test)
    residual_net().save(folder / "m.keras")
    defaults = [f"--model={folder}/m.keras", f"--data={folder}/d.npz", f"--out={folder}/out"]
    small = ["--trials=1", "--calibration_size=8", "--preprocessing=tf"]
    return cli.run(["remedy", *defaults, *small, *given])


def test_prints_diagnosis_and_stages(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    names = "zero_variance,equalization,adaround,bias_correction"
    assert run(tmp_path, f"--remedies={names}") == 0
    out = capfd.readouterr().out
    for expected in ("diagnosis", "0_none", "2_equalization", "4_bias_correction", "output QKL"):
        assert expected in out
    written = {path.name for path in (tmp_path / "out").iterdir()}
    stages = {"0_none"} | {f"{k}_{n}" for k, n in enumerate(names.split(","), start=1)}
    assert written == stages | {
        "cured.keras", "cured.tflite", "layers.png", "report.html",
    }  # fmt: skip
    for stage in stages:  # of the format, or it would not be read
        assert restore.load(tmp_path / "out" / stage).summary.quantized_accuracy.trials


def test_auto_prints_what_it_tried(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    assert run(tmp_path) == 0
    assert "tried on held-out images" in capfd.readouterr().out
    assert (tmp_path / "out" / "choices.json").exists()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--remedies=zero_varianc", "some of ['zero_variance', 'equalization'"),
        ("--remedies=bias_correction,equalization", "equalization must come before"),
        ("--calibration_size=20", "all of which calibrate"),
    ],
)
def test_one_clear_error(
    flag: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    assert run(tmp_path, flag) == 1
    err = complaints(capfd.readouterr().err)
    assert err.startswith("tfqdyn: ")
    assert message in err
    assert not (tmp_path / "out").exists()
