"""The plots of the papers: rows in, matplotlib axes out; the only matplotlib user.

Every function takes rows and an optional `ax`, returns the axes, and neither saves nor shows.
Layers are numbered as in the papers. A network keeps its colour and marker in every panel; dashes
tell weights, folded weights and activations apart, so that prints in grey can be read too.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tfqdyn.files.wholefiles import replacing
from tfqdyn.results import LayerResult, Spread
from tfqdyn.results.layervalues import LAYER_VALUES, Value, spans_decades

STYLE = Path(__file__).with_name("figures.mplstyle")
PAGE_WIDTH = 7.0
"""Inches across a page, at which the style's letters have their size in points."""
PANEL_HEIGHT = 2.1
"""Inches of one row of panels."""
MARKED = 80
"""Up to how many layers each is marked by a dot."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""One more than there are colours, so that many networks all look different."""


@dataclass(frozen=True)
class Panel:
    """What one plot shows.

    Attributes:
        title: with unit and direction.
        lines: each line's label, and its name in `LAYER_VALUES`.
        limits: that the axis has at least; None for those of the data.
    """

    title: str
    lines: Mapping[str, str]
    limits: tuple[float, float] | None = None

    @property
    def log(self) -> bool:
        """Whether the axis becomes logarithmic where values span decades."""
        return all(LAYER_VALUES[name].log for name in self.lines.values())


def _of_tensors(what: str) -> dict[str, str]:
    labels = {"weight": "weights", "folded_weight": "folded weights", "activation": "activations"}
    return {label: f"{tensor}_{what}" for tensor, label in labels.items()}


def _alone(name: str) -> Panel:
    value = LAYER_VALUES[name]
    direction = f" ({value.better} is better)" if value.better else ""
    return Panel(f"{value.label}{direction}", {"": name})


PANELS = {
    "range": Panel("dynamic range", _of_tensors("range")),
    "average_precision": Panel(
        "average channel precision (1 is best)", _of_tensors("average_precision"), (0.0, 1.04)
    ),
    "qmse": _alone("qmse"),
    "sqnr_db": _alone("sqnr_pooled_db"),
    "qkl_div": _alone("qkl_div"),
    "qce": _alone("qce"),
}
LOOKS: Mapping[str, tuple[str, int]] = {
    "weights": (":", 2), "folded weights": ("--", 1), "activations": ("-", 0), "": ("-", 0),
}  # fmt: skip
"""Dashes of a kind of values, and the place of its colour where there is one network."""


@dataclass(frozen=True)
class Curve:
    """A line with a band of one standard deviation.

    Attributes:
        points: layer number, mean and standard deviation of every point, [3, N].
        look: the line's properties.
        label: its entry in a legend.
    """

    points: np.ndarray
    look: Mapping[str, Any]
    label: str = ""


def draw(axes: Axes, curves: Sequence[Curve], log: bool) -> None:
    """Draws curves; markers as long as there are few points.

    Args:
        log: whether the axis may be logarithmic: a band then ends as far below as above, so that
            none reaches 0.
    """
    for curve in curves:
        x, mean, std = curve.points
        if not len(x):
            continue
        look = {**curve.look} if len(x) <= MARKED else {**curve.look, "marker": ""}
        axes.plot(x, mean, label=curve.label, **look)
        low = mean - std
        if log:
            positive = np.isfinite(mean) & (mean > 0)
            above_0 = np.divide(mean**2, mean + std, out=np.zeros_like(mean), where=positive)
            low = np.maximum(low, above_0)
        axes.fill_between(x, low, mean + std, color=look["color"], alpha=0.3, linewidth=0)


def fit(axes: Axes, curves: Sequence[Curve]) -> None:
    """A logarithmic axis where the finite positive values of these curves span decades."""
    _, mean, std = np.concatenate([np.zeros((3, 0)), *(c.points for c in curves)], axis=1)
    if spans_decades(mean):
        shown = np.isfinite(mean)
        axes.set_yscale("log")
        axes.set_ylim(mean[mean > 0].min() / 1.6, (mean + std)[shown].max() * 1.6)


def layerwise(
    networks: Mapping[str, Sequence[LayerResult]], panel: str, ax: Axes | None = None
) -> Axes:
    """One figure of every numbered layer against the layer number.

    Args:
        networks: rows by the name that the legend shows; "" for a single network.
        panel: one of `PANELS`.
        ax: axes to draw on; new ones by default.

    Returns:
        The axes: a line for the mean over trials, a band of one standard deviation; infinite
        values are left out. Every line has a label, a legend is the caller's.

    Raises:
        ValueError: an unknown panel.
    """
    if panel not in PANELS:
        raise ValueError(f"panel must be one of {sorted(PANELS)}, received {panel!r}")
    shown = PANELS[panel]
    with _drawing(ax) as axes:
        curves = [
            Curve(
                _points(rows, LAYER_VALUES[value].read),
                _look(networks, name, label),
                ", ".join(part for part in (name, label) if part),
            )
            for name, rows in networks.items()
            for label, value in shown.lines.items()
        ]
        draw(axes, curves, shown.log)
        if shown.log:
            fit(axes, curves)
        if shown.limits is not None:
            low, high = shown.limits
            largest = max((max(curve.points[1], default=0.0) for curve in curves), default=0.0)
            axes.set_ylim(low, max(high, 1.04 * largest))
        numbers = [row.number for rows in networks.values() for row in rows if row.number]
        axes.set_xlim(min(numbers, default=1) - 0.6, max(numbers, default=1) + 0.6)
        axes.set_title(shown.title)
        axes.set_xlabel("layer")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 4, 5, 10]))
    return axes


def channels(layer: LayerResult, ax: Axes | None = None) -> Axes:
    """Ranges of a layer's folded weights by channel, under the whole tensor's (the dashed line).

    Raises:
        ValueError: the layer has no kernel.
    """
    ranges = layer.channels.folded_weight_range
    if ranges is None or layer.folded_weights is None:
        raise ValueError(f"layer {layer.name!r} ({layer.kind}) has no weights to show by channel")
    with _drawing(ax) as axes:
        axes.vlines(range(len(ranges)), 0.0, ranges, linewidth=1.2, label="channel")
        look: dict[str, Any] = {"color": to_hex("C1"), "linestyle": "--", "marker": ""}
        axes.axhline(layer.folded_weights.range, label="tensor", **look)
        axes.set_ylim(bottom=0.0)
        axes.set_title(f"{layer.name}: ranges of folded weights (dashed: the tensor's)")
        axes.set_xlabel("channel")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def history(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] = ("accuracy", "val_accuracy"),
    ax: Axes | None = None,
) -> Axes:
    """Columns of a training's `history.csv` over its epochs, with their legend."""
    with _drawing(ax) as axes:
        epochs = [row["epoch"] for row in rows]
        for place, column in enumerate(columns):
            dashes = ("-", "--", ":", "-.")[place % 4]
            axes.plot(epochs, [row[column] for row in rows], linestyle=dashes, label=column)
        axes.legend()
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def dynamics(
    rows: Sequence[Mapping[str, Any]], column: str = "weight_range", ax: Axes | None = None
) -> Axes:
    """A column of a training's `dynamics.csv` over epochs: one line per layer, later ones lighter.

    The bar beside the axes tells the layers' numbers.
    """
    with _drawing(ax) as axes:
        numbers = sorted({row["number"] for row in rows})
        shades = Normalize(numbers[0], numbers[-1] * 1.1)  # the last 10 % are too light for paper
        colours = ScalarMappable(shades, matplotlib.colormaps["viridis"])
        for number in numbers:
            own = [row for row in rows if row["number"] == number]
            x, y = ([row[key] for row in own] for key in ("epoch", column))
            axes.plot(x, y, color=colours.to_rgba(number), label=f"{number}: {own[0]['name']}")
        axes.set_title(column.replace("_", " "))
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        bar = axes.get_figure().colorbar(colours, ax=axes, label="layer")  # pyright: ignore
        bar.ax.set_ylim(numbers[0], numbers[-1])
    return axes


def overview(networks: Mapping[str, Sequence[LayerResult]]) -> Figure:
    """All panels of one or several networks on one page, with the legend below them."""
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 3 * PANEL_HEIGHT + 0.5), layout="constrained")
        for pane, panel in zip(figure.subplots(3, 2).flat, PANELS, strict=True):
            layerwise(networks, panel, pane)
        handles = _legend(networks)
        longest = max(len(str(handle.get_label())) for handle in handles)
        columns = max(1, min(len(handles), int(PAGE_WIDTH / (0.6 + 0.06 * longest))))
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=2.6)
    return figure


def costs(rows: Sequence[Mapping[str, Any]], distance: str = "output QKL-Div") -> Figure:
    """What layers cost, in points and in distance: each in fp32 alone, and alone in uint8.

    Args:
        rows: as `sensitivity.csv` has them.
        distance: what the outputs' distance from fp32 is called.
    """
    held = rows[0] if rows else {}
    kinds = {"points": ("points of accuracy", False), "qkl_div": (f"{distance} in nats", True),
             "noise": (distance, True)}  # fmt: skip
    panels = [
        (
            title if not log else f"{title} (lower is better)",
            [n for n in held if n.startswith(kind)],
            log,
        )
        for kind, (title, log) in kinds.items()
        if any(name.startswith(kind) for name in held)
    ] or [("no layers", [], False)]
    with matplotlib.style.context(STYLE):
        size = (PAGE_WIDTH, len(panels) * PANEL_HEIGHT)
        figure = Figure(figsize=size, layout="constrained")
        panes = np.atleast_1d(figure.subplots(len(panels), 1))
        for axes, (title, columns, log) in zip(panes, panels, strict=True):
            for place, column in enumerate(columns):
                values = [row[column] for row in rows]
                label = re.sub("^(points|qkl_div|noise)_", "", column).replace("_", " ")
                look = {"color": to_hex(f"C{place}"), "marker": MARKERS[place], "linestyle": "-"}
                axes.plot(range(1, len(rows) + 1), values, label=label, **look)
            if log and spans_decades(row[column] for row in rows for column in columns):
                axes.set_yscale("log")
            axes.set_title(title)
            axes.set_xlabel("layer, in graph order")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.legend()
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a figure whole, in the format of the path's suffix; the same figure, the same file."""
    metadata = {"Date": None} if path.suffix == ".svg" else None
    with replacing(path) as temporary, matplotlib.style.context(STYLE):
        figure.savefig(temporary, metadata=metadata)


@contextmanager
def _drawing(ax: Axes | None) -> Iterator[Axes]:
    """The axes to draw on, in the house's style."""
    with matplotlib.style.context(STYLE):
        if ax is None:
            size = (PAGE_WIDTH / 2, PANEL_HEIGHT)
            yield Figure(figsize=size, layout="constrained").subplots()
        else:
            yield ax


def _points(rows: Sequence[LayerResult], read: Callable[[LayerResult], Value]) -> np.ndarray:
    """Number, mean and standard deviation of every numbered layer that has the value, [3, N]."""
    found = [(row.number, read(row)) for row in rows if row.number is not None]
    points = [
        (number, *((v.mean, v.std or 0.0) if isinstance(v, Spread) else (float(v), 0.0)))
        for number, v in found
        if v is not None
    ]
    return np.array(points, float).reshape(-1, 3).T


def _look(networks: Mapping[str, Any], name: str, label: str) -> dict[str, Any]:
    """Colour and marker tell networks apart, dashes kinds of values; colour too for one network."""
    dashes, own_colour = LOOKS[label]
    place = list(networks).index(name)
    colour = place if len(networks) > 1 else own_colour
    marker = MARKERS[place % len(MARKERS)]
    return {"color": to_hex(f"C{colour}"), "linestyle": dashes, "marker": marker}


def _legend(networks: Mapping[str, Any]) -> list[Line2D]:
    """Handles for the networks, if there are several, and for the kinds of values."""
    kinds = [label for label in LOOKS if label]
    if len(networks) == 1:
        name = next(iter(networks))
        return [Line2D([], [], label=kind, **_look(networks, name, kind)) for kind in kinds]
    handles = [Line2D([], [], label=name, **_look(networks, name, "")) for name in networks]
    grey: dict[str, Any] = {"color": "0.4", "marker": ""}
    looks = {kind: {**grey, "linestyle": LOOKS[kind][0]} for kind in kinds}
    return handles + [Line2D([], [], label=kind, **look) for kind, look in looks.items()]
