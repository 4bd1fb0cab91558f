"""The works' commonest figure: one value of every layer against the layer's number.

A column of panels for each family of networks, a row for each value, a line for each network with
a band of one standard deviation over calibration draws.
"""

import math
import textwrap
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from experiments.engine.artifact import Artifact, Row, Scope, first_seed
from experiments.engine.jobs import analysis_of
from experiments.engine.networks import Network
from experiments.engine.store import Job, Store
from experiments.evidence import display
from experiments.evidence.figure_table import Entry
from experiments.evidence.outcomes import provenance
from tfqdyn import results
from tfqdyn.results import Spread, restore
from tfqdyn.results.layervalues import LAYER_VALUES, LayerValue, mean_of
from tfqdyn.show import figures

SHADED = {
    "depthwise": "depthwise layers",
    "group": "group convolutions",
    "depthwise or group": "depthwise or group convolutions",
    "pointwise": "1x1 convolutions",
}
"""Kinds of layers that panels shade, and the legend's name for them: the first that there is."""


COLUMNS: Mapping[str, str] = {
    "weight_range": "weight_range",
    "weight_precision": "weight_average_precision",
    "folded_range": "folded_weight_range",
    "folded_precision": "folded_weight_average_precision",
    "activation_range": "activation_range",
    "activation_precision": "activation_average_precision",
    "qmse": "qmse",
    "qce": "qce",
    "qkl_div": "qkl_div",
    "sqnr_db": "sqnr_db",
}
"""Columns of the rows, and their names in `LAYER_VALUES`; a spread also has the column NAME_std."""


def value_of(column: str) -> LayerValue:
    """The value that a column holds."""
    return LAYER_VALUES[COLUMNS[column]]


def layer_rows(folder: Path, columns: Sequence[str], **same: str | int | float | None) -> list[Row]:
    """A row for each numbered layer of a run folder, with `same` in front of each."""
    rows: list[Row] = []
    for layer in restore.layers(results.read(folder)):
        if layer.number is None:
            continue
        row: dict[str, Any] = {**same, "number": layer.number, "layer": layer.name}
        row["kind"] = layer.kind
        for name in columns:
            found = value_of(name).read(layer)
            row[name] = mean_of(found)
            if isinstance(found, Spread):
                row[f"{name}_std"] = found.std
        rows.append(row)
    return rows


def artifact(name: str, source: str, entry: Entry) -> Artifact:
    """A layerwise figure of trained networks; networks whose training diverged have no line.

    Rows are of all seeds that a network is trained from, lines of the first.

    Args:
        name: `group/name`.
        source: the work and its number there.
        entry: of its group's table; its values are of `COLUMNS`.
    """

    def analyses(scope: Scope) -> list[tuple[Network, Any]]:
        trained = scope.replicates(entry.networks)
        return [(network, analysis_of(network, scope.scale, seed)) for network, seed in trained]

    def jobs(scope: Scope) -> Sequence[Job]:
        return [job for _, job in analyses(scope)]

    def rows(scope: Scope, store: Store) -> Sequence[Row]:
        found: list[Row] = []
        for network, job in analyses(scope):
            if store.done(job) and store.result(job)["summary"] is not None:
                same = {"network": network.name, "family": network.family}
                own = layer_rows(store.folder(job), entry.values, **same)
                found += [{**row, **provenance(job, scope, store)} for row in own]
        return found

    def drawn(found: Sequence[Row]) -> Figure:
        return draw(first_seed(found), entry.values, entry.stacked)

    return Artifact(name, source, entry.title, jobs, rows, drawn, published=entry.published)


def draw(rows: Sequence[Row], values: Sequence[str], stacked: bool = False) -> Figure:
    """Draws the panels from rows with `network`, `family`, `number`, `kind` and the values.

    Networks of different families that differ in nothing else have one colour and one entry in the
    legend, which names them without the family (`display.short_name`, or the rows' own `label`).
    Where there are more lines than colours, colours run from dark to light in the rows' order.
    Networks of different depth share a panel block by block (`places`).
    Layers of the first of `SHADED` that a panel has are shaded, depthwise and group convolutions
    alike where it has both. An axis is logarithmic where finite positive values span decades,
    with zeros below it; infinite values are left out. The axis of QCE is that of hidden layers: the
    output's is of probabilities, not of a histogram, and is told in words where it lies beyond.

    Args:
        rows: a row a layer and network; families unknown to `display` come last.
        values: one row of panels each, of `COLUMNS`, sharing their axis.
        stacked: all panels below one another across the page, each with an axis of its own; always
            so for one family.
    """
    present = dict.fromkeys(str(row["family"]) for row in rows)
    known = [family for family in display.FAMILIES if family in present]
    families = known + [family for family in present if family not in known]
    stacked = stacked or len(families) == 1
    styles = _styles(rows, families)
    shape = (len(values) * len(families), 1) if stacked else (len(values), len(families))
    with matplotlib.style.context(figures.STYLE):
        width = max(display.FULL_WIDTH, display.PANEL_WIDTH * shape[1])
        legend_lines = math.ceil((len(styles) + 1) / _room(width, list(styles)))
        height = display.ROW_HEIGHT * shape[0] + 0.2 * (1 + legend_lines)
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(*shape, squeeze=False, sharey=False if stacked else "row")
        grid = axes.reshape(len(families), len(values)).T if stacked else axes
        shaded: set[str] = set()
        for column, family in enumerate(families):
            own = [row for row in rows if row["family"] == family]
            for line, value in enumerate(values):
                shaded |= _panel(grid[line, column], own, value, styles)
                sharing = own if stacked else rows
                if value_of(value).log:
                    figures.fit(grid[line, column], _curves(sharing, value, styles))
                if value == "qce":
                    _hidden_alone(grid[line, column], own, sharing)
            grid[0, column].set_title(display.FAMILY_TITLES.get(family, family))
        for pane in axes[-1]:
            pane.set_xlabel(_numbered(rows))
        for line, value in enumerate(values):
            for pane in grid[line] if stacked else grid[line, :1]:
                pane.set_ylabel(textwrap.fill(value_of(value).label, 24))
        _legend(figure, styles, shaded)
    return figure


def _numbered(rows: Sequence[Row]) -> str:
    """What the axis counts: of networks of different depth the deepest one's layers."""
    depths: dict[str, dict[str, int]] = {}
    for row in rows:
        of = depths.setdefault(str(row["family"]), {})
        of[str(row["network"])] = max(of.get(str(row["network"]), 0), int(row["number"] or 0))
    apart = any(len(set(of.values())) > 1 for of in depths.values())
    return "layer of the deepest network" if apart else "layer"


def _label(row: Row) -> str:
    return str(row.get("label") or display.short_name(str(row["network"]), str(row["family"])))


def _styles(rows: Sequence[Row], families: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and dashes by label, in the order of the panels."""
    labels = dict.fromkeys(_label(row) for f in families for row in rows if row["family"] == f)
    many = len(families) == 1 and len(labels) > len(display.COLOURS)
    return {
        label: display.ordered_style(at, len(labels)) if many else display.line_style(at)
        for at, label in enumerate(labels)
    }


def places(rows: Sequence[Row]) -> dict[tuple[str, int], float]:
    """Where each network's layers stand: by number, a shallower one's among the deepest one's.

    Dense layers are counted from the end; of the convolutions the first and last ones stand
    together and the others at equal distances, which puts every block's convolution at the block's
    end where the deepest network has two for one of theirs.
    """
    networks: dict[str, list[Row]] = {}
    for row in rows:
        networks.setdefault(str(row["network"]), []).append(row)
    deepest = max(len(of) for of in networks.values())
    last = max(sum(row["kind"] != "dense" for row in of) for of in networks.values())
    found: dict[tuple[str, int], float] = {}
    for name, of in networks.items():
        own = sum(row["kind"] != "dense" for row in of)
        step = (last - 1) / (own - 1) if own > 1 else 1.0
        for row in of:
            number = int(row["number"] or 0)
            if len(of) == deepest:
                found[name, number] = number
            elif row["kind"] == "dense":
                found[name, number] = deepest - (len(of) - number)
            else:
                found[name, number] = 1 + (number - 1) * step
    return found


def _panel(
    axes: Axes, rows: Sequence[Row], value: str, styles: Mapping[str, Mapping[str, Any]]
) -> set[str]:
    """Draws one panel's lines; returns the kind of layers that it shades, if any."""
    kinds, at_number = {row["kind"] for row in rows}, places(rows)
    kind = next((kind for kind in SHADED if kind in kinds), None)
    alike = {"depthwise", "group"}
    kind = "depthwise or group" if alike <= kinds else kind
    shaded = alike if alike <= kinds else {kind}
    grey = {
        at_number[str(row["network"]), int(row["number"] or 0)]
        for row in rows
        if row["kind"] in shaded
    }
    for at in grey:
        axes.axvspan(at - 0.5, at + 0.5, color=display.SHADES[kind or ""], linewidth=0, zorder=0)
    figures.draw(axes, _curves(rows, value, styles), value_of(value).log)
    numbers = list(at_number.values())
    axes.set_xlim(min(numbers) - 0.6, max(numbers) + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 4, 10]))
    axes.grid(visible=False, axis="x")
    return set() if kind is None else {kind}


def _curves(
    rows: Sequence[Row], value: str, styles: Mapping[str, Mapping[str, Any]]
) -> list[figures.Curve]:
    """A curve for each network that has the value, where its layers stand in the rows' panel."""
    at_number = places(rows)
    curves = []
    for network in dict.fromkeys(row["network"] for row in rows):
        own = [row for row in rows if row["network"] == network and _finite(row[value])]
        points = [
            (
                at_number[str(network), int(row["number"] or 0)],
                row[value],
                row.get(f"{value}_std") or 0.0,
            )
            for row in own
        ]
        if own:
            found = np.array(points, float).T
            curves.append(figures.Curve(found, styles[_label(own[0])], _label(own[0])))
    return curves


def _hidden_alone(axes: Axes, own: Sequence[Row], sharing: Sequence[Row]) -> None:
    """Fits the axis to the hidden layers' QCE and says where the outputs' is if it is beyond."""
    (_, outputs), (hidden, _) = _qce(own), _qce(sharing)
    if not hidden or not outputs or max(outputs) <= max(hidden):
        return
    room = 0.08 * ((max(hidden) - min(hidden)) or 1.0)
    axes.set_ylim(min(hidden) - room, max(hidden) + room)
    told = " to ".join(dict.fromkeys(f"{end:.2g}" for end in (min(outputs), max(outputs))))
    shown = {"transform": axes.transAxes, "ha": "right", "va": "top", "fontsize": "x-small"}
    axes.text(0.98, 0.98, f"outputs: {told}", **shown)


def _qce(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    """QCE of hidden layers and of outputs."""
    last: dict[Any, int] = {}
    for row in rows:
        last[row["network"]] = max(last.get(row["network"], 0), int(row["number"] or 0))
    found: tuple[list[float], list[float]] = ([], [])
    for row in rows:
        if _finite(row["qce"]):
            found[row["number"] == last[row["network"]]].append(float(row["qce"] or 0))
    return found


def _legend(
    figure: Figure, styles: Mapping[str, Mapping[str, Any]], shaded: Collection[str]
) -> None:
    """One legend below all panels, in as many columns as there is room for."""
    lines = [
        Line2D([], [], label=label, color=style["color"], linestyle=style["linestyle"])
        for label, style in styles.items()
    ]
    patches = [
        Patch(facecolor=display.SHADES[kind], label=SHADED[kind])
        for kind in SHADED
        if kind in shaded
    ]
    handles = [*lines, *patches]
    room = _room(figure.get_figwidth(), [str(handle.get_label()) for handle in handles])
    ncols = min(room, len(handles))
    figure.legend(handles=handles, loc="outside lower center", ncols=ncols, handlelength=2.6)


def _room(width: float, labels: Sequence[str]) -> int:
    """How many entries of a legend stand side by side on so many inches, at 7 points."""
    return max(1, int(width / (0.6 + 0.06 * max(map(len, labels)))))


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))
