"""Thesis, Figures 4.6 to 4.8: statistics of single layers against the epoch, as it trained."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.jobs import Training, training_of
from experiments.engine.store import Job, Store
from experiments.evidence import display
from experiments.evidence.figure_table import Entry
from tfqdyn.show import figures

TITLES = {
    "weight_range": "weights range",
    "weight_precision": "weights average precision",
    "activation_range": "activations range",
}
"""The values by the column names of the rows."""

LAYERS: Mapping[str, tuple[int, ...]] = {"DWS": (1, 2, 8, 9, 16, 17), "Regular": (1, 2, 4, 6, 9)}
"""Numbers of the layers that are drawn, by family: first, early, middle and last convolutions, in
DWS-ConvNets depthwise (even) with the pointwise one after it. The rows hold all layers."""


def artifact(name: str, source: str, entry: Entry) -> Artifact:
    """A figure with a panel for each network and value, a line for each layer drawn.

    A training that diverged has rows up to its last whole epoch; without any it has one row that
    names it and holds no values.
    """

    def jobs(scope: Scope) -> Sequence[Job]:
        kept = scope.scale.networks(entry.networks)
        return [training_of(network, scope.scale, scope.seed) for network in kept]

    def rows(scope: Scope, store: Store) -> Sequence[Row]:
        found: list[Row] = []
        for network in scope.scale.networks(entry.networks):
            same = {"network": network.name, "family": network.family}
            kept = ("epoch", "number", "layer", *entry.values)
            training = training_of(network, scope.scale, scope.seed)
            if not store.done(training):
                continue
            of_layers = recorded(training, store)
            own = [{**same, **{key: row[key] for key in kept}} for row in of_layers]
            found += own or [{**same, **dict.fromkeys(kept)}]
        return found

    def drawn(found: Sequence[Row]) -> Figure:
        return draw(found, entry.values)

    return Artifact(name, source, entry.title, jobs, rows, drawn, published=entry.published)


def recorded(training: Training, store: Store) -> list[dict[str, Any]]:
    """A row a layer and epoch of a finished training; none where it did no whole epoch.

    `epoch`, `number` and `layer`, the kernel's `weight_range` and `weight_precision` (not folded),
    and `activation_range`, from smallest to largest value on a fixed sample, nothing clipped.
    """
    path = store.folder(training) / "dynamics.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as stream:
        return [
            {
                "epoch": int(row["epoch"]),
                "number": int(row["number"]),
                "layer": row["name"],
                "weight_range": float(row["weight_range"]),
                "weight_precision": float(row["weight_average_precision"]),
                "activation_range": float(row["activation_max"]) - float(row["activation_min"]),
            }
            for row in csv.DictReader(stream)
        ]


@dataclass(frozen=True)
class _Pane:
    network: str
    family: str
    value: str


def draw(rows: Sequence[Row], values: Sequence[str]) -> Figure:
    """Draws the panels side by side, from rows with `network`, `family`, `epoch`, `number`."""
    networks = dict.fromkeys((str(row["network"]), str(row["family"])) for row in rows)
    panes = [_Pane(*network, value) for network in networks for value in values]
    with matplotlib.style.context(figures.STYLE):
        width = max(display.FULL_WIDTH, display.PANEL_WIDTH * len(panes))
        figure = Figure(figsize=(width, display.ROW_HEIGHT + 0.6), layout="constrained")
        axes = figure.subplots(1, len(panes), squeeze=False)
        for pane, ax in zip(panes, axes[0], strict=True):
            _panel(ax, [row for row in rows if row["network"] == pane.network], pane)
    return figure


def _panel(axes: Axes, rows: Sequence[Row], pane: _Pane) -> None:
    for position, number in enumerate(LAYERS[pane.family]):
        own = [row for row in rows if row["number"] == number]
        if own:
            style: Any = display.line_style(position)
            epochs, values = (
                [float(row[key] or 0) for row in own] for key in ("epoch", pane.value)
            )
            label = f"{number}: {own[0]['layer']}"
            axes.plot(epochs, values, label=label, marker="", **style)
    axes.set_title(pane.network)
    axes.set_xlabel("epoch")
    axes.set_ylabel(TITLES[pane.value])
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.lines:
        axes.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.25))
