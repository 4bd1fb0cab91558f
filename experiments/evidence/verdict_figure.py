"""All tested claims in one picture: effects with their intervals, by work and verdict."""

from collections.abc import Sequence

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.evidence import display
from experiments.evidence.effects import Estimate
from experiments.evidence.verdicts import BEFORE, FAILS, HOLDS, UNDECIDED, WORKS, Verdict
from tfqdyn.show import figures

COLOURS = {HOLDS: "#009E73", FAILS: "#D55E00", BEFORE: "#0072B2", UNDECIDED: "0.55"}
MARKERS = {HOLDS: "o", FAILS: "X", BEFORE: "s", UNDECIDED: "|"}
LINE = 0.135
"""Inches of a claim's line."""
FURTHEST = 3.0
"""Times the claimed size that the axis shows; what is beyond ends in an arrow."""


def draw(verdicts: Sequence[Verdict]) -> Figure:
    """A panel a work, a line a claim; 0 is nothing and 1 the claimed size."""
    shown = [
        [one for one in verdicts if one.claim.work == work and isinstance(one.effect, Estimate)]
        for work in WORKS
    ]
    works = [(title, own) for title, own in zip(WORKS.values(), shown, strict=True) if own]
    with matplotlib.style.context(figures.STYLE):
        lines = sum(len(own) + 2 for _, own in works) or 1
        figure = Figure(figsize=(display.FULL_WIDTH, 0.9 + LINE * lines), layout="constrained")
        if not works:
            figure.text(0.5, 0.5, "no claim was tested", ha="center", va="center")
            return figure
        heights = [len(own) + 1 for _, own in works]
        axes = figure.subplots(
            len(works), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights}
        )[:, 0]
        for pane, (title, own) in zip(axes, works, strict=True):
            _panel(pane, own)
            pane.set_title(title, fontsize="small", loc="left")
        axes[-1].set_xlabel("effect as a share of the claimed size")
        handles = [
            Line2D([], [], color=colour, marker=MARKERS[name], label=name)
            for name, colour in COLOURS.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _panel(axes: Axes, verdicts: Sequence[Verdict]) -> None:
    order = [name for name in COLOURS]
    ranked = sorted(verdicts, key=lambda one: order.index(one.verdict))
    for at, one in enumerate(ranked):
        assert isinstance(one.effect, Estimate)
        low, value, high = (
            max(-FURTHEST, min(FURTHEST, part / one.claim.claimed))
            for part in (one.effect.low, one.effect.value, one.effect.high)
        )
        colour, bold = COLOURS[one.verdict], 1.6 if one.verdict != UNDECIDED else 1.0
        axes.plot([low, high], [at, at], color=colour, linewidth=bold, marker="")
        axes.plot([value], [at], color=colour, marker=MARKERS[one.verdict], markersize=3.5)
        for end, arrow in ((low, "<"), (high, ">")):
            if abs(end) >= FURTHEST:
                axes.plot([end], [at], color=colour, marker=arrow, markersize=3)
    names = [one.claim.name.split("/")[1].replace("_", " ") for one in ranked]
    axes.set_yticks(range(len(ranked)), names, fontsize=5)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(ranked) - 0.4, -0.6)
    axes.set_xlim(-FURTHEST * 1.03, FURTHEST * 1.03)
    axes.axvline(0, color="0.3", linewidth=0.8, zorder=0)
    axes.axvline(1, color="0.3", linewidth=0.8, linestyle=":", zorder=0)
    axes.grid(visible=False, axis="y")
