import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import complaints, images, residual_net

import tfqdyn
from tfqdyn import cli, results
from tfqdyn.cli import inputs
from tfqdyn.cli.command import Given, Outcome
from tfqdyn.cli.flags import parse
from tfqdyn.config import GROUPS, AnalysisConfig
from tfqdyn.results.modelexplorer import NODE_DATA


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
        small = ["--trials=1", "--calibration-size=4"]
        status = cli.run([command, *defaults, *small, *given])
        out, err = capfd.readouterr()
        return status, out, complaints(err)

    return call


def test_every_setting_is_a_flag_with_its_default_and_type() -> None:
    def config(*words: str) -> AnalysisConfig:
        values, _ = parse(inputs.SETTINGS, words, "analyze")
        return inputs.config_of(Given(values))

    assert config() == AnalysisConfig()
    given = ["--percentile=2", "--max-images", "7", "--own_error", "--float_layers=a, b"]
    assert config(*given) == AnalysisConfig(
        percentile=2.0, max_images=7, own_error=True, float_layers=("a", "b")
    )


def test_analyze_writes_results_and_prints_tables(analyze: Analyze, files: Path) -> None:
    status, out, err = analyze("--preprocessing=tf", "--max_images=12", "--float_layers=pw")
    assert (status, err) == (0, "")
    for expected in ("WARNING: fp32 accuracy", "quantized accuracy", "residual"):
        assert expected in out
    assert out.endswith(f"trial_0.tflite to {files}/out.\nOpen {files}/out/report.html\n")
    written = {p.name for p in (files / "out").iterdir()}
    assert written == {
        "results.json", "layers.csv", "layers.png", "report.html", "trial_0.tflite",
        *(one.file for one in NODE_DATA),
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
    assert "remedies are for schemes uint8 and int8, received 'simulated'" in err


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
    "unknown preprocessing": (["--preprocessing=vgg"], "one of ['auto', 'caffe', 'none', 'tf'"),
    "unknown layer": (["--float_layers=nope"], "['nope'] are no layers; layers are: stem"),
    "file in the way": (["--out={}/m.keras"], "cannot be written"),
    "no output": (["--out="], "--out is missing"),
    "missing file": (["--tflite=nowhere.tflite"], "does not exist"),
    "not a file": (["--tflite={}/d.npz"], "expected a .tflite file"),
    "ranges of int16x8": (
        ["--scheme=int16x8", "--calibrator=mse"],
        "only schemes uint8 and int8 take that",
    ),
}


OF_THE_COMMAND_LINE = {
    "no trials", "empty calibration", "unknown calibrator", "unknown scheme",
    "widths without simulation", "unknown preprocessing", "no output", "ranges of int16x8",
}  # fmt: skip
"""What is wrong before any file is looked at."""


@pytest.mark.parametrize("case", BAD_FLAGS)
def test_bad_input_gets_one_clear_error(case: str, analyze: Analyze, files: Path) -> None:
    given, message = BAD_FLAGS[case]
    status, out, err = analyze(*(flag.format(files) for flag in given))
    assert status == (2 if case in OF_THE_COMMAND_LINE else 1)
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


def test_a_piped_command_says_what_begins_and_nothing_else(files: Path) -> None:
    """No banner of TensorFlow's, no progress bar: one line per stage on stderr."""
    command = [
        sys.executable, "-m", "tfqdyn", "analyze", f"--model={files}/m.keras",
        f"--data={files}/d.npz", f"--out={files}/out", "--trials=1",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert complaints(done.stderr) == ""
    stages = [line for line in done.stderr.splitlines() if line.endswith(" ...")]
    assert stages == [
        "read model and data ...", "calibrate 1/1 ...", "compare layers ...",
        "write the report ...",
    ]  # fmt: skip
    assert "quantized accuracy" in done.stdout
    failed = subprocess.run([*command, "--trials=0"], capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert failed.stderr == "tfqdyn: trials must be at least 1, received 0\n"


def test_every_command_lists_its_flags_with_defaults(capfd: pytest.CaptureFixture) -> None:
    for name, command in cli.COMMANDS.items():
        assert cli.run([name, "--help"]) == 0
        shown = capfd.readouterr().out
        assert cli.run(["help", name]) == 0
        assert capfd.readouterr().out == shown
        assert command.summary in shown
        for flag in command.all_flags:
            assert f"\n  --{flag.name}" in shown, flag.name
        assert max(map(len, shown.splitlines())) <= 100
    assert cli.run(["analyze", "--help"]) == 0
    shown = " ".join(capfd.readouterr().out.split())
    for expected in (
        "Quantization: --scheme=TEXT What to convert to: uint8, int8",
        "--trials=N How many calibration draws. Default: 5.",
        "--own_error Measure each layer's own error and its sources too. Default: off.",
        "--calibrator=TEXT One of minmax, mse, percentile,",
    ):
        assert expected in shown
    assert "--epochs" not in shown  # qat's


def test_every_setting_stands_under_one_heading() -> None:
    names = [name for members in GROUPS.values() for name in members]
    assert sorted(names) == sorted(field.name for field in fields(AnalysisConfig))


@pytest.mark.parametrize("words", [["help"], ["--help"], ["-h"]])
def test_help_names_every_command(words: list[str], capfd: pytest.CaptureFixture) -> None:
    assert cli.run(words) == 0
    out = capfd.readouterr().out
    assert all(f"\n  {name} " in out for name in cli.COMMANDS)


def test_the_version_is_the_package_s(capfd: pytest.CaptureFixture) -> None:
    assert cli.run(["--version"]) == 0
    assert capfd.readouterr().out == f"tfqdyn {tfqdyn.__version__}\n"


WRONG = {
    "nothing": ([], "expected one command of ['demo', 'analyze'"),
    "another command": (["analyse"], "received 'analyse'; `tfqdyn help` says what each does"),
    "another flag": (
        ["analyze", "--modle=x"],
        "no flag --modle; did you mean --model?",
    ),
    "another command's": (
        ["compare", "a", "--out=b", "--epochs=3"],
        "has no flag --epochs",
    ),
    "a word": (
        ["analyze", "--model=a", "--data=b", "--out=c", "d"],
        "flags only, received 'd'",
    ),
    "no number": (["analyze", "--trials=many"], "--trials must be a whole number, received 'many'"),
    "no value": (["analyze", "--model"], "--model needs a value: --model=FILE"),
    "no switch": (["analyze", "--own_error=maybe"], "--own_error must be true or false"),
    "no model": (["analyze", "--data=b", "--out=c"], "--model is missing. The trained model"),
    "no folder": (["compare", "a"], "--out is missing. The folder for the results"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_command_line_is_told_with_status_2(
    case: str, capfd: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words, message = WRONG[case]
    assert cli.run(words) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("word", ["--no-own-error", "--noown_error", "--own-error=false"])
def test_switches_are_turned_off(word: str) -> None:
    values, rest = parse(inputs.SETTINGS, ["--own_error", word, "--", "--trials=3"], "analyze")
    assert not values["own_error"]
    assert (values["trials"], rest) == (5, ("--trials=3",))


def test_ctrl_c_is_one_line(
    files: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(given: Given) -> Outcome:
        raise KeyboardInterrupt

    ends = {"analyze": "", "remedy": "; the same command carries on where it stopped"}
    for name, more in ends.items():
        command = replace(cli.COMMANDS[name], run=interrupted)
        monkeypatch.setitem(cli.COMMANDS, name, command)
        words = [name, f"--model={files}/m.keras", f"--data={files}/d.npz", f"--out={files}/out"]
        assert cli.run(words) == 130
        assert capfd.readouterr().err == f"tfqdyn: interrupted{more}\n"
        assert not (files / "out").exists()


def test_a_run_leaves_no_file_of_an_earlier_one(analyze: Analyze, files: Path) -> None:
    assert analyze("--trials=3")[0] == 0
    status, out, _ = analyze("--trials=1")
    assert status == 0
    assert "trial_0.tflite to" in out
    assert [p.name for p in (files / "out").glob("trial_*")] == ["trial_0.tflite"]
