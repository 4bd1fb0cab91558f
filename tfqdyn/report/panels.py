"""Which figure is drawn where: groups of panels, and every panel's lines.

With one run, a panel overlays what belongs together (the ranges of weights, folded weights and
activations), a colour a line. With several runs a panel shows one figure, a colour a run, and the
panels of a group that share a unit share their axis.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import log10
from typing import Any

from tfqdyn.report.inputs import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, Run
from tfqdyn.report.layers import METRICS
from tfqdyn.results import SOURCES, Spread

DECADES = 2.0
"""From how many decades between least and largest value an axis starts out logarithmic."""


@dataclass(frozen=True)
class Line:
    """One line of a panel: its figure, its name, and its colour ("" for the run's own)."""

    metric: str
    label: str
    colour: str = ""


@dataclass(frozen=True)
class Panel:
    """One chart. `can_log` is False for decibels, which are logarithms already."""

    title: str
    lines: tuple[Line, ...]
    log: bool = False
    can_log: bool = True


@dataclass(frozen=True)
class Group:
    """Panels side by side under one heading; `shared` if one y axis serves all."""

    title: str
    note: str
    panels: tuple[Panel, ...]
    shared: bool = False


_TENSORS = {"weights": ORANGE, "folded": VERMILLION, "activations": BLUE}
_SOURCE_COLOURS = dict(zip(SOURCES, (BLUE, VERMILLION, PURPLE, GREEN, SKY), strict=True))
_NOTES = {
    "range": "Largest minus smallest value. One step of the grid is range / 255: a peak is a "
    "layer where steps are coarse.",
    "precision": "Mean over channels of a channel's range over the tensor's. Near 1 every channel "
    "uses the whole grid; near 0 one channel stretches it. Of activations it exceeds 1 where the "
    "calibrator (percentile of values, mse) clips the tensor more than its channels.",
    "error": "What reaches a layer's output, fp32 against dequantized: high SQNR is good, low "
    "QMSE, QCE and QKL-Div are.",
    "own": "Own error is what a layer makes itself when it is fed fp32 input; the rest is "
    "inherited from the layers before it.",
}


def groups(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The groups of panels for these runs, as the page's data."""
    found = _one_run(runs) if len(runs) == 1 else _several(runs)
    return [asdict(group) for group in found]


def _one_run(runs: Sequence[Run]) -> list[Group]:
    layers = (
        _panel(runs, "Dynamic range", *(_tensor("range", name) for name in _TENSORS)),
        _panel(runs, "Average precision", *(_tensor("precision", name) for name in _TENSORS)),
    )
    error = tuple(_single(runs, name) for name in ("sqnr", "qmse", "qkl_div", "qce"))
    found = [
        Group("Range and precision", f"{_NOTES['range']} {_NOTES['precision']}", layers),
        Group("Quantization error", _NOTES["error"], error),
    ]
    if _measured(runs, "own_qmse"):
        split = _panel(
            runs, "QMSE, own and inherited", Line("qmse", "all", BLUE),
            Line("own_qmse", "own", GREEN), Line("inherited_qmse", "inherited", PURPLE),
        )  # fmt: skip
        sources = [Line("own_sqnr", "all sources", ORANGE)]
        sources += [Line(f"source_{n}", n, _SOURCE_COLOURS[n]) for n in SOURCES]
        by_source = Panel("Own SQNR by source, in dB", tuple(sources), can_log=False)
        found.append(Group("Own and inherited error", _NOTES["own"], (split, by_source)))
    return found


def _several(runs: Sequence[Run]) -> list[Group]:
    found = [
        Group("Dynamic range", _NOTES["range"],
              tuple(_single(runs, f"range_{name}", "range_") for name in _TENSORS), True),
        Group("Average precision", _NOTES["precision"],
              tuple(_single(runs, f"precision_{name}", "precision_") for name in _TENSORS), True),
        Group("Quantization error", _NOTES["error"],
              tuple(_single(runs, name) for name in ("sqnr", "qmse", "qkl_div", "qce"))),
    ]  # fmt: skip
    if _measured(runs, "own_qmse"):
        own = tuple(_single(runs, name) for name in ("own_sqnr", "inherited_qmse"))
        found.append(Group("Own and inherited error", _NOTES["own"], own))
    return found


def _measured(runs: Sequence[Run], metric: str) -> bool:
    value = METRICS[metric].value
    return any(value(layer) is not None for run in runs for layer in run.result.layers)


def _tensor(what: str, tensor: str) -> Line:
    label = "folded weights" if tensor == "folded" else tensor
    return Line(f"{what}_{tensor}", label, _TENSORS[tensor])


def _single(runs: Sequence[Run], metric: str, group: str = "") -> Panel:
    """One figure; the axis is logarithmic where those of the whole `group` span decades."""
    together = [name for name in METRICS if group and name.startswith(group)] or [metric]
    title = METRICS[metric].title
    decibels = title.endswith("dB")
    return Panel(
        title, (Line(metric, title),), not decibels and _spans(runs, together), not decibels
    )


def _panel(runs: Sequence[Run], title: str, *lines: Line) -> Panel:
    return Panel(title, lines, _spans(runs, [line.metric for line in lines]))


def _spans(runs: Sequence[Run], metrics: Sequence[str]) -> bool:
    values = [
        METRICS[metric].value(layer)
        for run in runs
        for layer in run.result.layers
        if layer.number is not None
        for metric in metrics
    ]
    numbers = [v.mean if isinstance(v, Spread) else v for v in values if v is not None]
    positive = [v for v in numbers if v > 0]
    return bool(positive) and log10(max(positive) / min(positive)) >= DECADES
