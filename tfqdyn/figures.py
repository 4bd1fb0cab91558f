"""The layerwise plots of the papers: rows in, matplotlib axes out; the only matplotlib user.

Every function takes the rows of one or several networks and an optional `ax`, returns the axes,
and neither saves nor shows. The x axis is the papers' layer number.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfqdyn.results import LayerResult, Spread

STYLE = Path(__file__).with_name("figures.mplstyle")
DECADES = 2.0
"""From how many decades between smallest and largest value an axis is logarithmic."""


@dataclass(frozen=True)
class Panel:
    """What one plot shows: its title, and each line's label and value of a layer."""

    title: str
    lines: Mapping[str, Callable[[LayerResult], float | Spread | None]]


PANELS = {
    "range": Panel(
        "dynamic range",
        {
            "weights": lambda r: r.weights and r.weights.range,
            "folded weights": lambda r: r.folded_weights and r.folded_weights.range,
            "activations": lambda r: r.activations.range,
        },
    ),
    "average_precision": Panel(
        "average channel precision",
        {
            "weights": lambda r: r.weights and r.weights.average_precision,
            "folded weights": lambda r: r.folded_weights and r.folded_weights.average_precision,
            "activations": lambda r: r.activations.average_precision,
        },
    ),
    "qmse": Panel("QMSE", {"": lambda r: r.qmse}),
    "qce": Panel("QCE in nats", {"": lambda r: r.qce}),
    "qkl_div": Panel("QKL-Div in nats", {"": lambda r: r.qkl_div}),
    "sqnr_db": Panel("SQNR in dB", {"": lambda r: r.sqnr_db}),
}


def layerwise(
    networks: Mapping[str, Sequence[LayerResult]], panel: str, ax: Axes | None = None
) -> Axes:
    """One figure of every numbered layer against the layer number.

    Args:
        networks: rows by the name that the legend shows.
        panel: one of `PANELS`.
        ax: axes to draw on; new ones by default.

    Returns:
        The axes: a line for the mean over trials, a band of one standard deviation; logarithmic
        where values differ by decades.

    Raises:
        ValueError: an unknown panel.
    """
    if panel not in PANELS:
        raise ValueError(f"panel must be one of {sorted(PANELS)}, received {panel!r}")
    axes = Figure(layout="constrained").subplots() if ax is None else ax
    shown = PANELS[panel]
    drawn: list[float] = []
    for name, rows in networks.items():
        numbered = [row for row in rows if row.number is not None]
        for label, value in shown.lines.items():
            parts = [part for part in (name, label) if part]
            drawn += _line(axes, numbered, value, ", ".join(parts))
    positive = [v for v in drawn if v > 0]
    spans = positive and np.log10(max(positive) / min(positive)) >= DECADES
    if spans and panel != "sqnr_db":
        axes.set_yscale("log")
    axes.set_title(shown.title)
    axes.set_xlabel("layer")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def _line(
    axes: Axes,
    rows: Sequence[LayerResult],
    value: Callable[[LayerResult], float | Spread | None],
    label: str,
) -> list[float]:
    """Draws one line with its band; returns the finite values."""
    found = [(row.number, value(row)) for row in rows]
    points = [
        (number, *((v.mean, v.std or 0.0) if isinstance(v, Spread) else (float(v), 0.0)))
        for number, v in found
        if v is not None
    ]
    if not points:
        return []
    x, mean, std = (np.array(column, float) for column in zip(*points, strict=True))
    (line,) = axes.plot(x, mean, label=label)
    axes.fill_between(x, mean - std, mean + std, color=line.get_color(), alpha=0.25, linewidth=0)
    return [float(v) for v in mean if np.isfinite(v)]


def overview(networks: Mapping[str, Sequence[LayerResult]]) -> Figure:
    """All panels of one or several networks on one page."""
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(11.0, 6.0), layout="constrained")
        panes = figure.subplots(2, 3)
        for pane, panel in zip(panes.flat, PANELS, strict=True):
            layerwise(networks, panel, pane)
        panes[0, 0].legend()
        if len(networks) > 1:
            panes[0, 2].legend()
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a figure whole, in the format of the path's suffix."""
    temporary = path.with_name(f".{path.name}.part{path.suffix}")
    with matplotlib.style.context(STYLE):
        figure.savefig(temporary)
    temporary.replace(path)
