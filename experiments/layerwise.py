"""The works' commonest figure: one value of every layer against the layer's number.

A column of panels for each family of networks, a row for each value, a line for each network with
a band of one standard deviation over calibration draws.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments import display
from experiments.artifact import Artifact, Row, Scope
from experiments.jobs import analysis_of
from experiments.networks import Network
from experiments.store import Job, Store
from tfqdyn import figures, results

Layer = Mapping[str, Any]


@dataclass(frozen=True)
class Value:
    """A value of a layer.

    Attributes:
        title: the panel's title.
        of: from a layer of `results.json`: a number, a spread over trials, or None.
        log: whether its axis is logarithmic where values span two decades.
    """

    title: str
    of: Callable[[Layer], Any]
    log: bool = True


def _weights(kind: str, figure: str) -> Callable[[Layer], Any]:
    return lambda layer: layer[kind] and layer[kind][figure]


VALUES: Mapping[str, Value] = {
    "weight_range": Value("weights range", _weights("weights", "range")),
    "weight_precision": Value(
        "weights average precision", _weights("weights", "average_precision"), False
    ),
    "folded_range": Value("BN-folded weights range", _weights("folded_weights", "range")),
    "folded_precision": Value(
        "BN-folded weights average precision",
        _weights("folded_weights", "average_precision"),
        False,
    ),
    "activation_range": Value("activations range", _weights("activations", "range")),
    "activation_precision": Value(
        "activations average precision", _weights("activations", "average_precision"), False
    ),
    "qmse": Value("QMSE", lambda layer: layer["qmse"]),
    "qce": Value("QCE in nats", lambda layer: layer["qce"], False),
    "qkl_div": Value("QKL-Div in nats", lambda layer: layer["qkl_div"]),
    "sqnr_db": Value("SQNR in dB", lambda layer: layer["sqnr_db"], False),
}
"""The values by the column names of the rows; a spread also has NAME_std."""


def layer_rows(
    record: Mapping[str, Any], values: Sequence[str], **same: str | int | float | None
) -> list[Row]:
    """A row for each numbered layer of a `results.json`, with `same` in front of each."""
    rows: list[Row] = []
    for layer in record["layers"]:
        if layer["number"] is None:
            continue
        row: dict[str, Any] = {**same, "number": layer["number"], "layer": layer["name"]}
        row["kind"] = layer["kind"]
        for name in values:
            found = VALUES[name].of(layer)
            if isinstance(found, Mapping):
                row[name], row[f"{name}_std"] = found["mean"], found["std"]
            else:
                row[name] = found
        rows.append(row)
    return rows


def artifact(
    name: str,
    source: str,
    title: str,
    networks: Sequence[Network],
    values: Sequence[str],
) -> Artifact:
    """A layerwise figure of trained networks; networks whose training diverged have no line.

    Args:
        name: `group/name`.
        source: the work and its number there.
        title: what it shows.
        networks: which, at scales that train them.
        values: one row of panels each, of `VALUES`.
    """

    def analyses(scope: Scope) -> dict[Network, Any]:
        kept = scope.scale.networks(networks)
        return {network: analysis_of(network, scope.scale, scope.seed) for network in kept}

    def jobs(scope: Scope) -> Sequence[Job]:
        return list(analyses(scope).values())

    def rows(scope: Scope, store: Store) -> Sequence[Row]:
        found: list[Row] = []
        for network, job in analyses(scope).items():
            if store.result(job)["summary"] is not None:
                record = results.read(store.folder(job))
                same = {"network": network.name, "family": network.family}
                found += layer_rows(record, values, **same)
        return found

    return Artifact(name, source, title, jobs, rows, lambda found: draw(found, values))


def draw(rows: Sequence[Row], values: Sequence[str]) -> Figure:
    """Draws the panels from rows with `network`, `family`, `number` and the values.

    Panels of one row share their axis; its scale is logarithmic where finite positive values span
    `figures.DECADES`. Infinite values are left out.
    """
    families = [f for f in display.FAMILIES if any(row["family"] == f for row in rows)]
    with matplotlib.style.context(figures.STYLE):
        size = (
            max(display.FULL_WIDTH * 0.6, display.FULL_WIDTH * len(families) / 2),
            display.ROW_HEIGHT * len(values) + 0.9,
        )
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(values), len(families), squeeze=False, sharey="row")
        for column, family in enumerate(families):
            own = [row for row in rows if row["family"] == family]
            for line, value in enumerate(values):
                _panel(panels[line, column], own, value)
            panels[0, column].set_title(display.FAMILY_TITLES[family])
            panels[-1, column].set_xlabel("layer")
            panels[-1, column].legend(
                loc="upper center", bbox_to_anchor=(0.5, -0.28), fontsize="x-small", frameon=False
            )
        for line, value in enumerate(values):
            panels[line, 0].set_ylabel(VALUES[value].title)
            _scale(panels[line, 0], rows, value)
    return figure


def _panel(axes: Axes, rows: Sequence[Row], value: str) -> None:
    for position, network in enumerate(dict.fromkeys(row["network"] for row in rows)):
        own = [row for row in rows if row["network"] == network and _finite(row[value])]
        x = np.array([row["number"] for row in own], float)
        mean = np.array([row[value] for row in own], float)
        std = np.array([row.get(f"{value}_std") or 0.0 for row in own], float)
        style = display.line_style(position)
        axes.plot(x, mean, label=str(network), **style)  # pyright: ignore[reportArgumentType]
        axes.fill_between(x, mean - std, mean + std, color=style["color"], alpha=0.2, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _scale(axes: Axes, rows: Sequence[Row], value: str) -> None:
    positive = [float(row[value] or 0.0) for row in rows if _finite(row[value])]
    positive = [number for number in positive if number > 0]
    decades = np.log10(max(positive) / min(positive)) if positive else 0.0
    if VALUES[value].log and decades >= figures.DECADES:
        axes.set_yscale("log")


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))
