import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import complaints, images, residual_net

from tfqdyn import cli, results
from tfqdyn.config import AnalysisConfig


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a model `m.keras` and data `d.npz`."""
    keras.utils.set_random_seed(1)
    residual_net().save(tmp_path / "m.keras")
    data = images(20)
    np.savez(tmp_path / "d.npz", x_train=data.x_train, y_train=data.y_train,
             x_test=data.x_test, y_test=data.y_test)  # fmt: skip
    return tmp_path


Analyze = Callable[..., tuple[int, str, str]]


@pytest.fixture
def analyze(files: Path, capfd: pytest.CaptureFixture) -> Analyze:
    """Runs `tfqdyn analyze` (or `command`) with flags; exit status, stdout and stderr."""

    def call(*given: str, command: str = "analyze") -> tuple[int, str, str]:
        defaults = [f"--model={files}/m.keras", f"--data={files}/d.npz", f"--out={files}/out"]
        arguments = ["tfqdyn", command, *defaults, "--trials=1", "--calibration_size=4", *given]
        with flagsaver.flagsaver():
            status = 0
            try:
                cli.run(flags.FLAGS(arguments))
            except SystemExit as stop:
                status = int(stop.code or 0)
        out, err = capfd.readouterr()
        return status, out, complaints(err)

    return call


def test_every_setting_is_a_flag_with_its_default_and_type() -> None:
    given = ["tfqdyn", "--percentile=2", "--max_images=7", "--own_error", "--float_layers=a,b"]
    with flagsaver.flagsaver():
        flags.FLAGS(["tfqdyn"])
        assert cli._config("uint8") == AnalysisConfig()
        flags.FLAGS(given)
        assert cli._config("uint8") == AnalysisConfig(
            percentile=2.0, max_images=7, own_error=True, float_layers=("a", "b")
        )


def test_analyze_writes_results_and_prints_tables(analyze: Analyze, files: Path) -> None:
    status, out, err = analyze("--preprocessing=tf", "--max_images=12", "--float_layers=pw")
    assert (status, err) == (0, "")
    for expected in ("fp32 accuracy", "the 5 worst layers", "residual"):
        assert expected in out
    written = {p.name for p in (files / "out").iterdir()}
    assert written == {
        "results.json", "layers.csv", "layers.png", "report.html", "trial_0.tflite",
    }  # fmt: skip
    record = results.read(files / "out")
    assert record["config"]["float_layers"] == ["pw"]
    assert record["layers"][2]["quantization"] == [None]
    assert record["data"]["images"] == 12


def test_a_file_of_any_tool_from_the_command_line(analyze: Analyze, files: Path) -> None:
    status, _, err = analyze("--preprocessing=tf", "--scheme=int8")
    assert (status, err) == (0, "")
    tflite = f"--tflite={files}/out/trial_0.tflite"
    status, _, err = analyze("--preprocessing=tf", tflite, f"--out={files}/again")
    assert (status, err) == (0, "")
    one, other = (results.read(files / name) for name in ("out", "again"))
    assert other["summary"] == one["summary"]
    assert other["config"]["scheme"] == "tflite"


def test_other_widths_are_simulated_and_say_so(analyze: Analyze, files: Path) -> None:
    status, out, err = analyze("--scheme=simulated", "--weight_bits=4", "--per_channel=weights")
    assert (status, err) == (0, "")
    assert "SIMULATED in fp32 arithmetic" in out
    assert "4-bit weights per channel, 8-bit" in out.replace("\n", " ")
    assert {p.name for p in (files / "out").iterdir()} == {
        "results.json", "layers.csv", "layers.png", "report.html",
    }  # fmt: skip


def test_remedies_need_a_file(analyze: Analyze, files: Path) -> None:
    status, _, err = analyze("--scheme=simulated", command="remedy")
    assert status == 1
    assert "remedies are for scheme 'uint8', received 'simulated'" in err


def test_qat_writes_both_analyses_and_the_file(analyze: Analyze, files: Path) -> None:
    status, out, err = analyze("--epochs=1", "--train_images=8", "--layer_loss=0.1", command="qat")
    assert (status, err) == (0, "")
    for expected in ("quantization-aware training", "0_ptq", "1_qat", "trained.tflite"):
        assert expected in out
    assert results.read(files / "out" / "1_qat")["model"]["name"] == "residual"
    assert (files / "out" / "trained.keras").exists()
    status, _, err = analyze("--scheme=int4", command="qat")
    assert status == 1
    assert "one of ['uint8', 'int8'], received 'int4'" in err


BAD_FLAGS = {
    "missing model": (["--model=nowhere.keras"], "does not exist"),
    "not a model": (["--model={}/d.npz"], "expected a .keras or .h5 file"),
    "missing data": (["--data=nowhere.npz"], "does not exist"),
    "unknown data": (["--data=imagenet"], "one of ['cifar10', 'digits']"),
    "wrong shape": (["--data=digits"], "the model expects images (12, 12, 3)"),
    "no trials": (["--trials=0"], "trials must be at least 1, received 0"),
    "empty calibration": (["--calibration_size=0"], "calibration_size must be at least 1"),
    "unknown calibrator": (["--calibrator=median"], "one of ['minmax', 'mse', 'percentile'"),
    "unknown scheme": (["--scheme=int3"], "scheme must be one of ['uint8', 'int8'"),
    "widths without simulation": (["--weight_bits=4"], "bit widths need scheme='simulated'"),
    "unknown preprocessing": (["--preprocessing=vgg"], "one of ['caffe', 'none', 'tf'"),
    "unknown layer": (["--float_layers=nope"], "['nope'] are no layers; layers are: stem"),
    "file in the way": (["--out={}/m.keras"], "cannot be written"),
    "no output": (["--out="], "--out is missing"),
    "missing file": (["--tflite=nowhere.tflite"], "does not exist"),
    "not a file": (["--tflite={}/d.npz"], "expected a .tflite file"),
    "ranges of int8": (["--scheme=int8", "--calibrator=mse"], "only scheme 'uint8' takes that"),
}


@pytest.mark.parametrize("case", BAD_FLAGS)
def test_bad_input_gets_one_clear_error(case: str, analyze: Analyze, files: Path) -> None:
    given, message = BAD_FLAGS[case]
    status, out, err = analyze(*(flag.format(files) for flag in given))
    assert status == 1
    assert out == ""
    assert message in err
    assert err.startswith("tfqdyn: ")
    assert "Traceback" not in err
    assert not (files / "out").exists()


BAD_DATA = {
    "labels out of range": ({"y_test": np.full(20, 9)}, "labels must lie in 0..3"),
    "NaN": ({"x_test": np.full((20, 12, 12, 3), np.nan, np.float32)}, "NaN or infinity"),
    "channels": ({"x_test": np.zeros((20, 12, 12, 1), np.uint8)}, "(12, 12, 1)"),
    "no images": ({"x_test": np.zeros((0, 12, 12, 3), np.uint8), "y_test": np.zeros(0, int)},
                  "holds no images"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_get_one_clear_error(case: str, analyze: Analyze, files: Path) -> None:
    change, message = BAD_DATA[case]
    with np.load(files / "d.npz") as archive:
        arrays = {"x_test": archive["x_test"], "y_test": archive["y_test"]} | change
    np.savez(files / "bad.npz", **arrays)
    status, _, err = analyze(f"--data={files}/bad.npz", "--threads=1")
    assert status == 1
    assert message in err
    assert not (files / "out").exists()


def test_unsupported_layers_are_named(analyze: Analyze, files: Path) -> None:
    k = keras.layers
    layers = [
        keras.Input((12, 12, 3)),
        k.GroupNormalization(3, name="odd"),
        k.Flatten(),
        k.Dense(4),
    ]
    keras.Sequential(layers).save(files / "odd.keras")
    status, _, err = analyze(f"--model={files}/odd.keras")
    assert status == 1
    assert "layer 'odd' (GroupNormalization) is not supported" in err
    assert "supported layers: Activation, " in err


def test_commands_are_listed(capfd: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.run(["tfqdyn", "analyse"])
    assert stop.value.code == 2
    assert "expected one command of ['analyze'" in capfd.readouterr().err


def test_help_is_the_manual() -> None:
    script = Path(sys.executable).with_name("tfqdyn")
    shown = subprocess.run([script, "--help"], capture_output=True, text=True, check=False).stdout
    for expected in ("tfqdyn analyze --model=", "--calibrator: One of minmax", "--trials"):
        assert expected in shown


def test_the_installed_command_is_quiet(files: Path) -> None:
    """stderr stays empty when piped: no banner of TensorFlow's, no progress bar."""
    command = [
        sys.executable, "-m", "tfqdyn.cli", "analyze", f"--model={files}/m.keras",
        f"--data={files}/d.npz", f"--out={files}/out", "--trials=1",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert complaints(done.stderr) == ""
    assert "quantized accuracy" in done.stdout
    failed = subprocess.run([*command, "--trials=0"], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr == "tfqdyn: trials must be at least 1, received 0\n"
