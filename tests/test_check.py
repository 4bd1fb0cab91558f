"""`tfqdyn check`: passes what is as good as its baseline, fails what is worse, and says where."""

import dataclasses
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import images, residual_net

from tfqdyn import cli, pipeline, results
from tfqdyn.cli import check as check_command
from tfqdyn.cli.flags import parse
from tfqdyn.commands import check
from tfqdyn.config import AnalysisConfig
from tfqdyn.results import RunResult, restore
from tfqdyn.results.spreads import spread

SMALL = ("--preprocessing=tf", "--trials=2", "--calibration_size=8", "--calibrator=minmax")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, a network, the same with a channel that spans its weights, and a baseline run."""
    folder = tmp_path_factory.mktemp("check")
    data = images(40)
    np.savez(folder / "d.npz", x_train=data.x_train, y_train=data.y_train,
             x_test=data.x_test, y_test=data.y_test)  # fmt: skip
    keras.utils.set_random_seed(1)
    network = residual_net()
    network.save(folder / "good.keras")
    kernel = network.get_layer("dw").kernel
    changed = kernel.numpy().copy()
    changed[..., 0, :] *= 100
    kernel.assign(changed)
    network.save(folder / "bad.keras")
    assert cli.run(["analyze", f"--model={folder}/good.keras", f"--data={folder}/d.npz",
                    f"--out={folder}/baseline", *SMALL]) == 0  # fmt: skip
    return folder


def checked(folder: Path, model: str, *more: str) -> int:
    return cli.run(["check", f"--baseline={folder}/baseline", f"--model={folder}/{model}.keras",
                    f"--data={folder}/d.npz", f"--out={folder}/{model}", *more])  # fmt: skip


def test_the_same_model_passes_with_the_baselines_settings(
    folder: Path, capfd: pytest.CaptureFixture
) -> None:
    assert checked(folder, "good") == 0
    assert "checks passed" in capfd.readouterr().out
    before, now = (restore.load(folder / name) for name in ("baseline", "good"))
    assert now.config == before.config
    assert now.layers == before.layers
    suite = ElementTree.parse(folder / "good" / "check.xml").getroot()
    cases = 1 + len(before.summary.outputs) + len(before.layers)
    assert (suite.get("tests"), suite.get("failures")) == (str(cases), "0")
    assert "all" in (folder / "good" / "check.md").read_text()


def test_a_worse_model_fails_and_the_layer_is_named(
    folder: Path, capfd: pytest.CaptureFixture
) -> None:
    assert checked(folder, "bad") == 1
    assert "checks failed" in capfd.readouterr().out
    suite = ElementTree.parse(folder / "bad" / "check.xml").getroot()
    failures = [case.get("name") for case in suite if case.find("failure") is not None]
    assert "dw" in failures
    assert "stem" not in failures
    assert int(suite.get("failures", "")) == len(failures)
    assert "| **failed** | layer dw |" in (folder / "bad" / "check.md").read_text()
    assert checked(folder, "bad", "--tolerance=100") == 0


def test_other_images_and_old_baselines_are_refused(folder: Path, tmp_path: Path) -> None:
    run = restore.load(folder / "baseline")
    other = dataclasses.replace(run, data=dataclasses.replace(run.data, sha256=("0" * 64,)))
    with pytest.raises(ValueError, match="the baseline scored other images"):
        check.cases(other, run, 1.0)
    assert run.summary.loss is not None
    old = dataclasses.replace(run.summary, loss=dataclasses.replace(run.summary.loss, wrong=None))
    with pytest.raises(ValueError, match="make a new one"):
        check.cases(dataclasses.replace(run, summary=old), run, 1.0)


def test_right_answers_are_those_of_the_accuracies(folder: Path) -> None:
    run = restore.load(folder / "baseline")
    assert run.summary.quantized_accuracy is not None
    found = check.right_answers(run).mean(axis=1)
    np.testing.assert_allclose(found, run.summary.quantized_accuracy.trials)


def losing(run: RunResult, share: float) -> RunResult:
    """A run whose fp32 network is always right, and that loses a share of the images."""
    assert run.summary.loss is not None
    scored = run.data.scored[0]
    lost = tuple(scored[: int(share * len(scored))])
    loss = dataclasses.replace(run.summary.loss, wrong=(), lost=(lost, lost), gained=((), ()))
    return dataclasses.replace(run, summary=dataclasses.replace(run.summary, loss=loss))


def test_accuracy_fails_beyond_chance_alone(folder: Path) -> None:
    run = restore.load(folder / "baseline")  # 40 images, two draws
    whole = losing(run, 0.0)
    for share, passed in ((0.0, True), (0.05, True), (0.5, False)):
        case = check.cases(whole, losing(run, share), 1.0)[0]
        assert (case.kind, case.passed) == ("accuracy", passed), case.text
    assert check.cases(losing(run, 0.5), whole, 1.0)[0].passed  # a gain


@pytest.mark.parametrize(
    ("before", "now", "passed"),
    [
        ((30.0, 30.0), (29.1, 29.1), True),  # within the tolerance of 1 dB
        ((30.0, 30.0), (28.9, 28.9), False),
        ((31.0, 29.0), (28.0, 28.0), True),  # a deviation of 1.41 dB
        ((math.inf,), (math.inf,), True),
        ((math.inf,), (80.0,), False),
        ((30.0,), (math.nan,), False),
    ],
)
def test_an_sqnr_may_fall_by_tolerance_and_spread(
    folder: Path, before: tuple[float, ...], now: tuple[float, ...], passed: bool
) -> None:
    run = restore.load(folder / "baseline")

    def with_sqnr(trials: tuple[float, ...]) -> RunResult:
        layer = dataclasses.replace(run.layers[0], sqnr_pooled_db=spread(trials))
        return dataclasses.replace(run, layers=(layer,))

    assert check.cases(with_sqnr(before), with_sqnr(now), 1.0)[-1].passed is passed


def test_a_layer_that_is_gone_fails(folder: Path) -> None:
    run = restore.load(folder / "baseline")
    fewer = dataclasses.replace(run, layers=run.layers[1:])
    assert [case.name for case in check.failed(check.cases(run, fewer, 1.0))] == [
        run.layers[0].name
    ]
    assert not check.failed(check.cases(fewer, run, 1.0))


def test_the_documented_workflow_is_the_example_file() -> None:
    docs = Path(__file__).parents[1] / "docs"
    example = (docs / "examples" / "quantization.yml").read_text()
    assert f"```yaml\n{example}```" in (docs / "pages" / "everyday.md").read_text()
    (line,) = [line for line in example.splitlines() if "tfqdyn check" in line]
    words = line.split("tfqdyn check ")[1].split()
    values, _ = parse(check_command.COMMAND.all_flags, words, "check")
    assert values["baseline"] == "runs/baseline"


@pytest.mark.parametrize("scheme", ["int8", "float16"])
def test_settings_come_back_from_every_scheme(
    scheme: str, network: keras.Model, tmp_path: Path
) -> None:
    config = AnalysisConfig(preprocessing="tf", scheme=scheme, trials=1, calibration_size=4)
    results.write(pipeline.analyze(network, images(6), config), tmp_path)
    settings = check.settings_of(restore.load(tmp_path), threads=1)
    assert (settings.scheme, settings.preprocessing, settings.threads) == (scheme, "tf", 1)
