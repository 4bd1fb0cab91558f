"""The head of the page: one sentence, the summary's figures, and how they were measured."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tfqdyn.report.inputs import Run
from tfqdyn.results import Loss, MetricResult, OutputResult, RunResult, Spread, Summary
from tfqdyn.results.layervalues import Value, mean_of
from tfqdyn.show.causes import WORST, Cause
from tfqdyn.show.tables import mcnemar, percent

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Cell:
    """A figure, its deviation over trials, and its difference from the first run's ("": none)."""

    text: str
    deviation: str = ""
    difference: str = ""


@dataclass(frozen=True)
class Row:
    """One figure of the summary over all runs: its heading, and one cell per run."""

    heading: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Strip:
    """Accuracies on a scale from 0 to 100: fp32, quantized, and the deviation over trials."""

    fp32: float
    quantized: float
    low: float
    high: float


LOST = "accuracy lost, points"
MOST_TOLD = 4
"""Runs whose accuracies the headline names one by one."""


def _on_xnnpack(summary: Summary) -> Value:
    return summary.deployed and summary.deployed.accuracy


def _changed_by_xnnpack(summary: Summary) -> Value:
    return summary.deployed and summary.deployed.changed_answers


Figure = tuple[str, Callable[[Summary], Value], bool]
"""A heading, how to read the figure off a summary, and whether it is a fraction of 1."""
FIGURES: tuple[Figure, ...] = (
    ("fp32 accuracy", lambda s: s.fp32_accuracy, True),
    ("fp32 accuracy, changed network", lambda s: s.changed_fp32_accuracy, True),
    ("{scheme} accuracy", lambda s: s.quantized_accuracy, True),
    ("{scheme} accuracy on XNNPACK, as deployed", _on_xnnpack, True),
    ("answers that XNNPACK changes", _changed_by_xnnpack, True),
    (LOST, lambda s: s.loss and s.loss.points, False),
    ("percent accuracy decrease, absolute", lambda s: s.percent_accuracy_decrease, False),
    ("fp32 top-5", lambda s: s.fp32_top5_accuracy, True),
    ("{scheme} top-5", lambda s: s.quantized_top5_accuracy, True),
    ("output QMSE", lambda s: s.qmse, False),
    ("output QCE", lambda s: s.qce, False),
    ("output QKL-Div", lambda s: s.qkl_div, False),
)
"""Figures of classifiers."""
_OF_OUTPUTS: tuple[tuple[str, Callable[[OutputResult], Value], bool], ...] = (
    ("SQNR in dB", lambda o: o.sqnr_db, False),
    ("QMSE", lambda o: o.qmse, False),
    ("largest error", lambda o: o.largest_error, False),
    ("QKL-Div", lambda o: o.qkl_div, False),
    ("changed answers", lambda o: o.changed_answers, True),
)


def figures(summaries: Sequence[Summary]) -> tuple[Figure, ...]:
    """All figures of some summaries: of classifiers, of metrics, and of every output by name."""
    metrics = dict.fromkeys(metric.name for s in summaries for metric in s.metrics)
    outputs = dict.fromkeys(output.name for s in summaries for output in s.outputs)
    found = list(FIGURES)
    for name in metrics:
        found.append((f"{name}, fp32", partial(_metric, name, lambda m: m.fp32), False))
        found.append((f"{name}, {{scheme}}", partial(_metric, name, lambda m: m.quantized), False))
    for name in outputs:
        found += [
            (f"output {name}: {what}", partial(_output, name, read), fraction)
            for what, read, fraction in _OF_OUTPUTS
        ]
    return tuple(found)


def _metric(name: str, read: Callable[[MetricResult], Value], summary: Summary) -> Value:
    return next((read(metric) for metric in summary.metrics if metric.name == name), None)


def _output(name: str, read: Callable[[OutputResult], Value], summary: Summary) -> Value:
    return next((read(output) for output in summary.outputs if output.name == name), None)


def scheme_of(runs: Sequence[Run]) -> str:
    """The runs' scheme ("uint8"), or "8-bit" where they differ."""
    schemes = {str(run.result.config.get("scheme", "8-bit")) for run in runs}
    return schemes.pop() if len(schemes) == 1 else "8-bit"


def rows(runs: Sequence[Run]) -> tuple[Row, ...]:
    """The summary's figures; those that no run has are left out."""
    found = []
    for heading, read, fraction in figures([run.result.summary for run in runs]):
        values = [read(run.result.summary) for run in runs]
        if any(value is not None for value in values):
            cells = tuple(_cell(v, values[0], i > 0, fraction) for i, v in enumerate(values))
            found.append(Row(heading.replace("{scheme}", scheme_of(runs)), cells))
            found += _certainty(runs) if heading == LOST else []
    sizes = [run.result.model for run in runs]
    found.append(Row("size, fp32", tuple(Cell(megabytes(model.bytes_fp32)) for model in sizes)))
    found.append(
        Row(
            f"size, {scheme_of(runs)}",
            tuple(Cell(megabytes(model.bytes_quantized)) for model in sizes),
        )
    )
    return tuple(found)


def _certainty(runs: Sequence[Run]) -> list[Row]:
    """What the images and draws leave open of the loss."""
    losses = [run.result.summary.loss for run in runs]
    ends = [MISSING if loss is None else _ends(loss) for loss in losses]
    return [
        Row("95 % interval of the loss", tuple(map(Cell, ends))),
        Row("McNemar's exact p", tuple(Cell(mcnemar(loss) or MISSING) for loss in losses)),
    ]


def _ends(loss: Loss) -> str:
    """The ends of a loss' interval in points."""
    return " to ".join(f"{end:.2f}".replace("-", MINUS) for end in loss.interval)


def short(value: float, digits: int = 3) -> str:
    """So many significant digits: 0.0123, 3.21e-4, 1,230."""
    if math.isnan(value):
        return MISSING
    if value and math.isfinite(value) and not 1e-3 <= abs(value) < 1e5:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        text = f"{mantissa}e{int(exponent)}"
    else:
        text = f"{float(f'{value:.{digits}g}'):,}".removesuffix(".0")
    return text.replace("-", MINUS)


def megabytes(count: int) -> str:
    """Bytes as megabytes, or as kilobytes below a tenth of one."""
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _cell(value: Value, first: Value, compared: bool, fraction: bool) -> Cell:
    here, there = mean_of(value), mean_of(first)
    if here is None:
        return Cell(MISSING)
    show: Callable[[float], str] = (lambda x: f"{100 * x:.2f} %") if fraction else short
    std = value.std if isinstance(value, Spread) else None
    deviation = "" if std is None else (f"± {100 * std:.2f}" if fraction else f"± {short(std, 2)}")
    if not compared or there is None:
        return Cell(show(here), deviation)
    change = here - there
    sign = "+" if change > 0 else ""
    difference = f"{100 * change:.2f} points".replace("-", MINUS) if fraction else short(change)
    return Cell(show(here), deviation, sign + difference)


def strip(summary: Summary) -> Strip | None:
    """The accuracies of one run for the template's drawing; None where there are none."""
    fp32, quantized = summary.fp32_accuracy, summary.quantized_accuracy
    if fp32 is None or quantized is None:
        return None
    std = quantized.std or 0.0
    ends = (max(0.0, quantized.mean - std), min(1.0, quantized.mean + std))
    return Strip(100 * fp32, 100 * quantized.mean, 100 * ends[0], 100 * ends[1])


def headline(runs: Sequence[Run], found: Sequence[Sequence[Cause]]) -> str:
    """What the page says in one or two sentences; a run's warning where there is one."""
    warnings = [w for run in runs for w in run.result.warnings]
    if warnings:
        return warnings[0]
    if len(runs) == 1:
        sentence = f"{scheme_of(runs)} {_told(runs[0].result.summary)}."
        cause = next((c.remarks[0].text for c in found[0] if c.title != WORST), "")
        return f"{sentence} First in the diagnosis: {cause}." if cause else sentence
    of_outputs = any(run.result.summary.quantized_accuracy is None for run in runs)
    told = [f"{run.name} {_short(run.result.summary, of_outputs)}" for run in runs]
    if len(runs) > MOST_TOLD:
        places = range(len(runs))
        best = min(places, key=lambda place: _badness(runs[place].result.summary))
        told = [told[0], f"best {told[best]}"]
    if of_outputs:
        return f"SQNR of the outputs of {len(runs)} runs: {'; '.join(told)}."
    accuracies = sorted(run.result.summary.fp32_accuracy or 0.0 for run in runs)
    fp32 = " to ".join(dict.fromkeys(percent(accuracies[end]) for end in (0, -1)))
    return f"{scheme_of(runs)} accuracy of {len(runs)} runs: {', '.join(told)} (fp32 {fp32})."


def _short(summary: Summary, of_outputs: bool) -> str:
    return _outputs(summary) if of_outputs else percent(summary.quantized_accuracy)


def _badness(summary: Summary) -> float:
    """0 is best: what is wrong of the answers, or the distance of the outputs without labels."""
    accuracy = summary.quantized_accuracy
    return summary.distance if accuracy is None else 1.0 - accuracy.mean


def worst(runs: Sequence[Run]) -> int:
    """The place of the run that quantization does most to; the first of several."""
    return max(range(len(runs)), key=lambda place: _badness(runs[place].result.summary))


def _told(summary: Summary) -> str:
    """What quantization does to one network: in accuracy, or to its outputs where that is none."""
    if summary.fp32_accuracy is None:
        return f"leaves the outputs at an SQNR of {_outputs(summary)}"
    return (
        f"{_cost(summary)}: {percent(summary.fp32_accuracy)} in fp32, "
        f"{percent(summary.quantized_accuracy)} quantized"
    )


def _outputs(summary: Summary) -> str:
    """The SQNR of every output, by name where there are several."""
    several = len(summary.outputs) > 1
    told = [f"{short(o.sqnr_db.mean)} dB{f' ({o.name})' * several}" for o in summary.outputs]
    return ", ".join(told) or MISSING


def _cost(summary: Summary) -> str:
    """What quantization costs or gains in accuracy, with the interval."""
    assert summary.fp32_accuracy is not None
    assert summary.quantized_accuracy is not None
    lost = 100 * (summary.fp32_accuracy - summary.quantized_accuracy.mean)
    what = f"{'costs' if lost > 0 else 'gains'} {abs(lost):.1f} points of accuracy"
    if abs(lost) < 0.05:
        what = "costs no accuracy"
    if summary.loss is None:
        return what
    ends = [end if lost > 0 else -end for end in summary.loss.interval]
    low, high = (f"{end:.1f}".replace("-", MINUS) for end in sorted(ends))
    return f"{what} (95 % interval {low} to {high} points)"


def setup(runs: Sequence[Run]) -> tuple[Row, ...]:
    """How the runs were measured; a row whose cells agree has one cell."""
    results = [run.result for run in runs]
    keys = dict.fromkeys(key for result in results for key in _setup(result))
    found = []
    for key in keys:
        texts = [_setup(result).get(key, MISSING) for result in results]
        same = len(set(texts)) == 1
        found.append(Row(key, tuple(Cell(text) for text in (texts[:1] if same else texts))))
    return tuple(found)


def _setup(result: RunResult) -> dict[str, str]:
    config, data = result.config, result.data
    return {
        "network": result.model.name,
        "parameters": f"{result.model.parameters:,}",
        "multiply-accumulates": f"{result.model.macs:,}",
        "data": f"{data.name}, {data.images:,} images scored",
        "SHA-256 of the data": ", ".join(digest[:12] for digest in data.sha256),
        "calibration images from": data.calibration_split or MISSING,
        "labels are for": result.summary.task or MISSING,
        **{key.replace("_", " "): _setting(value) for key, value in config.items()},
        **{f"version of {key}": str(value) for key, value in result.versions.items()},
    }


def _setting(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "all" if value is None else str(value)
