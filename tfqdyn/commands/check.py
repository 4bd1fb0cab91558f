"""The command `check`: is this model's 8-bit network as good as the one that a baseline holds?

OUT/...          what `analyze` writes, of the model with the baseline's settings
OUT/check.xml    JUnit: one test case for the accuracy, one for each output and each layer
OUT/check.md     the same in Markdown, what failed first

What fails
    Accuracy: the two 8-bit networks answer the same images; the points by which this one is below
    the baseline's have a 95 % interval over images and draws (`paired.interval`), draw by draw. It
    fails where the whole interval is above 0.
    SQNR of an output or a layer: it fails where it fell by more than `tolerance` dB and the spread
    over both runs' draws, the root of the sum of the squared deviations. A layer of the baseline
    that is no longer there fails; a new one passes.
"""

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from tfqdyn.config import AnalysisConfig
from tfqdyn.numerics import paired
from tfqdyn.numerics.calibrators import CALIBRATORS
from tfqdyn.results import RunResult, Spread
from tfqdyn.schemes import INT8

MOST_ROWS = 12
"""Cases that a terminal shows."""


@dataclass(frozen=True)
class Case:
    """One thing that is checked.

    Attributes:
        kind: "accuracy", "output" or "layer".
        name: what is checked.
        passed: whether it is no worse than the baseline.
        text: the figures, in words.
    """

    kind: str
    name: str
    passed: bool
    text: str


def settings_of(baseline: RunResult, threads: int) -> AnalysisConfig:
    """The settings that a baseline was analyzed with; `threads` decide no figure.

    Raises:
        ValueError: it was made by a version whose settings this one does not take.
    """
    names = {setting.name for setting in fields(AnalysisConfig)}
    given: dict[str, Any] = {n: v for n, v in baseline.config.items() if n in names}
    if given.get("scheme") == "tflite":  # a file that was there already: no scheme made it
        del given["scheme"]
    if not baseline.config.get("own_ranges", given.get("scheme") != INT8):
        given |= {
            "calibrator": None,
            "percentile": None,
        }  # the converter's, in older runs of int8 too
    rule = CALIBRATORS.get(str(given.get("calibrator")))
    if rule is not None and rule.percentile is None:
        given["percentile"] = None
    try:
        settings: dict[str, Any] = {name: _setting(value) for name, value in given.items()}
        return AnalysisConfig(**{**settings, "threads": threads})
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the baseline's settings are not those of this version ({error}); make a new baseline "
            "with `tfqdyn analyze`"
        ) from error


def _setting(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def cases(baseline: RunResult, result: RunResult, tolerance: float) -> tuple[Case, ...]:
    """Everything that is checked of a run, against its baseline.

    Args:
        baseline: of the same images and settings.
        result: of the model that is checked.
        tolerance: in dB, that an SQNR may fall besides its spread.

    Raises:
        ValueError: the runs scored different images, or their answers cannot be paired.
    """
    if baseline.data.sha256 != result.data.sha256:
        raise ValueError(
            f"the baseline scored other images ({baseline.data.images} of {baseline.data.name!r}); "
            f"give the same --data (received {result.data.images} of {result.data.name!r}), or "
            "make a new baseline with `tfqdyn analyze`"
        )
    outputs_before, outputs_now = (
        {output.name: output.sqnr_db for output in run.summary.outputs}
        for run in (baseline, result)
    )
    layers_before, layers_now = (
        {layer.name: layer.sqnr_pooled_db for layer in run.layers} for run in (baseline, result)
    )
    return (
        *_accuracy(baseline, result),
        *_fallen("output", outputs_before, outputs_now, tolerance),
        *_fallen("layer", layers_before, layers_now, tolerance),
    )


def _accuracy(baseline: RunResult, result: RunResult) -> list[Case]:
    """Points lost against the baseline's 8-bit network; none without labels."""
    if baseline.summary.loss is None or result.summary.loss is None:
        return []
    before, now = (right_answers(run) for run in (baseline, result))
    trials = min(len(before), len(now))
    changes = before[:trials].astype(np.int64) - now[:trials]
    low, high = (100 * end for end in paired.interval(changes))
    points = 100 * float(changes.mean())
    lost, gained = (int((changes == sign).sum()) for sign in (1, -1))
    text = (
        f"{100 * before.mean():.2f} % before, {100 * now.mean():.2f} % now: {points:+.2f} points "
        f"lost (95 % interval {low:+.2f} to {high:+.2f}; over {trials} draws {lost} images lost, "
        f"{gained} gained)"
    )
    return [Case("accuracy", "8-bit accuracy", low <= 0, text)]


def right_answers(run: RunResult) -> NDArray[np.bool_]:
    """Whether every trial's quantized network answers each scored image right, [T, N].

    Raises:
        ValueError: trials scored different images, or the run is from before answers were kept.
    """
    loss = run.summary.loss
    if loss is None or loss.wrong is None or len(run.data.scored) != 1:
        raise ValueError(
            "answers cannot be paired: the run is of a version that did not keep them, or its "
            "trials scored different images; make a new one with `tfqdyn analyze`"
        )
    scored = np.array(run.data.scored[0])
    fp32 = ~np.isin(scored, loss.wrong)
    return np.stack(
        [
            (fp32 & ~np.isin(scored, lost)) | np.isin(scored, gained)
            for lost, gained in zip(loss.lost, loss.gained, strict=True)
        ]
    )


def _fallen(
    kind: str, before: Mapping[str, Spread], now: Mapping[str, Spread], tolerance: float
) -> list[Case]:
    """SQNRs in dB by name, against the baseline's."""
    found = []
    for name, old in before.items():
        if name not in now:
            found.append(
                Case(kind, name, False, f"is not there any more; {old.mean:.1f} dB before")
            )
            continue
        new = now[name]
        drop = 0.0 if old.mean == new.mean else old.mean - new.mean
        spread = math.hypot(*(_deviation(value) for value in (old, new)))
        passed = drop <= tolerance + spread
        text = (
            f"SQNR {old.mean:.1f} dB before, {new.mean:.1f} dB now; it may fall by "
            f"{tolerance + spread:.1f} dB ({tolerance:g} and a spread of {spread:.1f})"
        )
        found.append(Case(kind, name, passed, text))
    return found


def _deviation(value: Spread) -> float:
    return value.std if value.std is not None and math.isfinite(value.std) else 0.0


def failed(found: Sequence[Case]) -> list[Case]:
    """The cases that did not pass."""
    return [case for case in found if not case.passed]


def junit(found: Sequence[Case], model: str) -> bytes:
    """The cases as JUnit XML, as build servers read it."""
    suite = ElementTree.Element(
        "testsuite",
        name=f"tfqdyn check {model}",
        tests=str(len(found)),
        failures=str(len(failed(found))),
        errors="0",
    )
    for case in found:
        of = ElementTree.SubElement(
            suite, "testcase", classname=f"tfqdyn.{case.kind}", name=case.name
        )
        if not case.passed:
            ElementTree.SubElement(of, "failure", message=case.text).text = case.text
    text = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def markdown(found: Sequence[Case], model: str) -> str:
    """The cases as Markdown, what failed first."""
    bad = failed(found)
    verdict = f"{len(bad)} of {len(found)} checks failed" if bad else f"all {len(found)} passed"
    lines = [f"## tfqdyn check: {_cell(model)}", "", f"**{verdict}**", ""]
    lines += ["| | what | figures |", "|---|---|---|"]
    ordered = [*bad, *(case for case in found if case.passed)]
    for case in ordered:
        mark = "ok" if case.passed else "**failed**"
        lines.append(f"| {mark} | {case.kind} {_cell(case.name)} | {case.text} |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def table(found: Sequence[Case]) -> Table:
    """What failed, or what was checked, for a terminal."""
    bad = failed(found)
    shown = bad or [case for case in found if case.kind != "layer"]
    title = (
        f"{len(bad)} of {len(found)} checks failed" if bad else f"all {len(found)} checks passed"
    )
    drawn = Table(title=title, title_justify="left")
    for heading in ("", "what", "figures"):
        drawn.add_column(heading, overflow="fold")
    for case in shown[:MOST_ROWS]:
        drawn.add_row("ok" if case.passed else "failed", f"{case.kind} {case.name}", case.text)
    if len(shown) > MOST_ROWS:
        drawn.caption = f"{len(shown) - MOST_ROWS} more in check.md"
    return drawn
