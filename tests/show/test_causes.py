"""The cause in words and the command to paste, from a plain run: terminal and report alike."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import faulty_networks
import pytest
from faulty_networks import CONFIG, photographs

from tfqdyn import pipeline, report
from tfqdyn.datasets import Dataset
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.remedies import diagnose
from tfqdyn.report.inputs import named_runs
from tfqdyn.report.page import render
from tfqdyn.results import RunResult, spread
from tfqdyn.show import causes

PLAIN = replace(CONFIG, own_error=False, calibration_size=16)
PATHS = {"model": "net.keras", "data": "my images.npz", "out": "runs/net/"}


@cache
def plain(name: str) -> RunResult:
    """A run without own errors of a network that answers as its labels say."""
    model = faulty_networks.dead_model() if name == "dead" else faulty_networks.small_net()
    images = photographs(48)
    folded = fold_batchnorm(lower(model))
    labels = faulty_networks.ward().logits(folded)[:40].argmax(axis=-1)
    data = Dataset("images", images[:40], labels, images[40:], labels[:8])
    return pipeline.analyze(model, data, PLAIN)


def test_dead_channels_are_found_without_own_errors() -> None:
    result = replace(plain("dead"), paths=PATHS)
    first = diagnose(result)[0]
    assert (first.fault, first.layer, first.channels) == ("dead_variance", "dw", (3, 8))
    assert first.text.endswith("dB (estimated)")
    cause = causes.causes(result)[0]
    assert cause.title == "Dead channels stretch the weights' range (2 channels in 1 layer)"
    assert cause.command == (
        "tfqdyn remedy --model=net.keras '--data=my images.npz' --preprocessing=tf "
        "--calibrator=minmax --calibration_size=16 --trials=1 "
        "--remedies=zero_variance,bias_correction --out=runs/net_zero_variance"
    )


def test_a_cause_is_said_once() -> None:
    """The dead channels span the tensor too."""
    assert {f.fault for f in diagnose(plain("dead")) if f.layer == "dw"} >= {
        "dead_variance", "spanning_channel",
    }  # fmt: skip
    titles = [cause.title for cause in causes.causes(plain("dead"))]
    assert not [title for title in titles if title.startswith("One channel")]


def test_a_healthy_network_is_no_alarm() -> None:
    result = plain("healthy")
    assert diagnose(result) == ()
    assert [cause.title for cause in causes.causes(result)] == [causes.WORST]
    assert causes.lines(result)[0] == "diagnosis: no layer stands out"
    text = render(named_runs([result]))
    assert "First in the diagnosis" not in text


def test_terminal_and_report_say_the_same_in_the_same_order(tmp_path: Path) -> None:
    result = replace(plain("dead"), paths=PATHS)
    report.write_report([result], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    shown = "\n".join(causes.lines(result))
    for where in (text, shown):
        places = [where.index(c.title.replace("'", "&#39;") if where is text else c.title)
                  for c in causes.causes(result) if c.title != causes.WORST]  # fmt: skip
        assert places == sorted(places)
    assert "--remedies=zero_variance,bias_correction --out=runs/net_zero_variance" in text
    assert shown.endswith(
        "   tfqdyn analyze --model=net.keras '--data=my images.npz' --preprocessing=tf "
        "--calibrator=minmax --calibration_size=16 --trials=1 --own_error --out=runs/net_own"
    )


def test_a_run_that_does_not_know_its_files_names_the_remedy() -> None:
    assert {cause.command for cause in causes.causes(plain("dead"))} == {""}
    assert "   Try zero_variance." in causes.lines(plain("dead"))


def test_nothing_is_concluded_from_a_network_that_guesses() -> None:
    warned = replace(plain("dead"), warnings=("It guesses.",))
    assert causes.causes(warned) == ()
    assert causes.lines(warned) == []
    assert "No diagnosis: see the warning." in render(named_runs([warned]))


@pytest.mark.parametrize(("low", "high", "expected"), [(-1.0, 2.0, True), (0.5, 2.0, False)])
def test_no_loss_that_can_be_told_is_said(low: float, high: float, expected: bool) -> None:
    result = plain("dead")
    assert result.summary.loss is not None
    loss = replace(result.summary.loss, points=spread([0.5]), interval=(low, high))
    result = replace(result, summary=replace(result.summary, loss=loss))
    assert (causes.ALL_WELL in causes.lines(result)) == expected


def test_commands_of_int8_runs_name_the_scheme() -> None:
    """int8's default calibrator is minmax: it is no setting that must be said."""
    result = replace(faulty_networks.ward("int8").result(faulty_networks.coarse()), paths=PATHS)
    command = causes.own_error_command(result)
    assert "--scheme=int8 " in f"{command} "
    assert "--own_error" in command
    assert "--calibrator" not in command
    assert "--scheme=int8" in causes.remedy_command(result, "adaround")
