"""The demo's story holds: healthy, collapsed with the same fp32 function, explained, cured."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfqdyn import cli, datasets
from tfqdyn.results import restore


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "out"
    assert cli.run(["demo", f"--out={out}", "--epochs=4", "--trials=1"]) == 0
    return out


def test_the_planted_network_collapses_and_is_cured(told: Path) -> None:
    names = ("healthy", "cured/0_none", "cured/3_bias_correction")
    healthy, planted, cured = (restore.load(told / name).summary for name in names)
    assert healthy.loss.points.mean < 3
    assert planted.loss.points.mean > 40
    assert cured.loss.points.mean < 5
    assert healthy.fp32_accuracy == pytest.approx(planted.fp32_accuracy, abs=0.005)


def test_planting_changes_nothing_in_fp32(told: Path) -> None:
    models = [keras.saving.load_model(told / f"{name}.keras") for name in ("healthy", "planted")]
    images = datasets.preprocess(datasets.load("digits").x_test[:20], "tf")
    healthy, planted = (np.asarray(model(images)) for model in models)
    assert np.abs(healthy - planted).max() < 1e-4


def test_the_report_is_over_the_three_networks(told: Path) -> None:
    text = (told / "report.html").read_text()
    assert "A network loses its accuracy in 8 bits" in text
    for name in ("healthy", "planted", "cured"):
        assert f'"name":"{name}"' in text
    assert "Dead channels stretch the weights&#39; range (4 channels in 4 layers)" in text
    assert f"--model={told}/planted.keras" in text  # the command to paste
