"""Which figure is drawn where: groups of panels, and every panel's lines.

With one run, a panel overlays what belongs together (the ranges of weights, folded weights and
activations), a colour a line. With several runs a panel shows one figure, a colour a run, and the
panels of a group that share a unit share their axis.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tfqdyn.report.inputs import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, Run
from tfqdyn.results import SOURCES
from tfqdyn.results.layervalues import LAYER_VALUES, mean_of, spans_decades


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


_TENSORS = {
    "weight": ("weights", ORANGE),
    "folded_weight": ("folded weights", VERMILLION),
    "activation": ("activations", BLUE),
}
"""Label and colour of a tensor, by what the names of its values begin with."""
_ERRORS = ("sqnr_pooled_db", "qmse", "qkl_div", "qce")
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
    layers = tuple(
        _panel(runs, title, *(_tensor(name, what) for name in _TENSORS))
        for title, what in (("Dynamic range", "range"), ("Average precision", "average_precision"))
    )
    error = tuple(_single(runs, name) for name in _ERRORS)
    found = [
        Group("Range and precision", f"{_NOTES['range']} {_NOTES['precision']}", layers),
        Group("Quantization error", _NOTES["error"], error),
    ]
    if _measured(runs, "own_qmse"):
        split = _panel(
            runs, "QMSE, own and inherited", Line("qmse", "all", BLUE),
            Line("own_qmse", "own", GREEN), Line("inherited_qmse", "inherited", PURPLE),
        )  # fmt: skip
        sources = [Line("own_sqnr_pooled_db", "all sources", ORANGE)]
        sources += [Line(f"source_sqnr_db_{n}", n, _SOURCE_COLOURS[n]) for n in SOURCES]
        by_source = Panel("Own SQNR by source, in dB", tuple(sources), can_log=False)
        found.append(Group("Own and inherited error", _NOTES["own"], (split, by_source)))
    return found


def _several(runs: Sequence[Run]) -> list[Group]:
    found = [
        Group("Dynamic range", _NOTES["range"], _together(runs, "range"), True),
        Group("Average precision", _NOTES["precision"], _together(runs, "average_precision"), True),
        Group("Quantization error", _NOTES["error"], tuple(_single(runs, n) for n in _ERRORS)),
    ]  # fmt: skip
    if _measured(runs, "own_qmse"):
        own = tuple(_single(runs, name) for name in ("own_sqnr_pooled_db", "inherited_qmse"))
        found.append(Group("Own and inherited error", _NOTES["own"], own))
    return found


def _measured(runs: Sequence[Run], name: str) -> bool:
    read = LAYER_VALUES[name].read
    return any(read(layer) is not None for run in runs for layer in run.result.layers)


def _tensor(tensor: str, what: str) -> Line:
    label, colour = _TENSORS[tensor]
    return Line(f"{tensor}_{what}", label, colour)


def _together(runs: Sequence[Run], what: str) -> tuple[Panel, ...]:
    """A panel for each tensor; their axes are logarithmic where the values of all span decades."""
    names = [f"{tensor}_{what}" for tensor in _TENSORS]
    return tuple(_single(runs, name, names) for name in names)


def _single(runs: Sequence[Run], name: str, sharing: Sequence[str] = ()) -> Panel:
    """One value; the axis is logarithmic where those of all that share it span decades."""
    value = LAYER_VALUES[name]
    lines = (Line(name, value.label),)
    return Panel(value.label, lines, _logarithmic(runs, sharing or (name,)), value.unit != "dB")


def _panel(runs: Sequence[Run], title: str, *lines: Line) -> Panel:
    return Panel(title, lines, _logarithmic(runs, [line.metric for line in lines]))


def _logarithmic(runs: Sequence[Run], names: Sequence[str]) -> bool:
    values = (
        mean_of(LAYER_VALUES[name].read(layer))
        for run in runs
        for layer in run.result.layers
        if layer.number is not None
        for name in names
        if LAYER_VALUES[name].log
    )
    return spans_decades(value for value in values if value is not None)
