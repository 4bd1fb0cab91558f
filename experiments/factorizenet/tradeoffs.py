"""Thesis, Figures 5.4 and 5.5: accuracy and output errors against multiply-accumulates.

    python -m experiments.run --artifact=factorizenet/figure_5_4 --scale=reduced

MACs are those of the convolutions; the dense layers, the same in all, are left out (caption).

Cost: the eight trainings and analyses of this group. smoke 20 seconds (3 networks), reduced
20 minutes on two cores, paper about 2 hours a network on a GPU.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from experiments.engine.artifact import Artifact, Row, Scope, first_seed
from experiments.engine.jobs import Analysis, analysis_of
from experiments.engine.networks import Network
from experiments.engine.store import Job, Store
from experiments.evidence import display
from experiments.evidence.effects import CERTAIN
from experiments.evidence.outcomes import outcome, provenance
from experiments.factorizenet.sizing import sizing_of
from experiments.factorizenet.spectrum import SPECTRUM
from tfqdyn import results
from tfqdyn.show import figures

MILLION = 1e6
MACS = "full_width_mmacs"
"""The column of the horizontal axis: the published width, whatever the scale's."""
PUBLISHED: Mapping[str, tuple[float | None, ...]] = {
    "Regular Conv": (266.0, 88.37, 85.60, 3.13),
    "FactorizeNet-f2": (153.8, 86.54, 80.05, 7.50),
    "FactorizeNet-finit2": (104.3, 86.01, 80.31, 6.63),
    "FactorizeNet-f16": (None, None, None, 14.8),
    "DWS Conv": (None, None, None, 4.21),
}
"""What thesis 5.5 names: millions of MACs, fp32 and uint8 accuracy and its decrease in percent. The
decreases of f2 and finit2 follow from their accuracies (Eq. 4.11); all other points are in the
pictures alone."""
COLUMNS = ("mmacs", "fp32_accuracy", "uint8_accuracy", "percent_decrease")


def jobs(scope: Scope) -> Sequence[Job]:
    """Each network's final analysis and its full-width sizing."""
    trained = scope.replicates(SPECTRUM)
    analyses = [analysis_of(network, scope.scale, seed) for network, seed in trained]
    return [*analyses, *map(sizing_of, scope.scale.networks(SPECTRUM))]


def rows(scope: Scope, store: Store) -> Sequence[Row]:
    """A row a network and seed.

    `mmacs` are millions of multiply-accumulates of the convolutions of this scale's network (None
    where its training diverged), `full_width_mmacs` those at the published width; dense layers are
    left out, as in the thesis.
    """
    return [
        _row(network, seed, scope, store)
        for network, seed in scope.replicates(SPECTRUM)
        if store.done(analysis_of(network, scope.scale, seed)) and store.done(sizing_of(network))
    ]


def _row(network: Network, seed: int, scope: Scope, store: Store) -> Row:
    analysis = analysis_of(network, scope.scale, seed)
    theirs = PUBLISHED.get(network.name, (None,) * len(COLUMNS))
    columns = (f"published_{column}" for column in COLUMNS)
    return {
        "network": network.name,
        "mmacs": convolution_mmacs(analysis, store),
        "full_width_mmacs": store.result(sizing_of(network))["convolutions"] / MILLION,
        **outcome(analysis, store),
        **dict(zip(columns, theirs, strict=True)),
        **provenance(analysis, scope, store),
    }


def traits(network: Network) -> Row:
    """What a network is, for the control's rows; its MACs are those of the trained one."""
    return {"family": network.family}


def convolution_mmacs(analysis: Analysis, store: Store) -> float | None:
    """Millions of MACs in the analyzed network's layers that are not dense."""
    if store.result(analysis)["summary"] is None:
        return None
    layers = results.read(store.folder(analysis))["layers"]
    return sum(layer["macs"] for layer in layers if layer["kind"] != "dense") / MILLION


Panel = tuple[str, Mapping[str, str]]
"""Title of the y axis, and what the legend calls each column of the rows."""

ACCURACY: Panel = ("accuracy in %", {"fp32_accuracy": "fp32", "uint8_accuracy": "uint8"})
STYLES: Mapping[str, Mapping[str, str]] = {
    "fp32_accuracy": {"marker": "o", "color": display.COLOURS[0]},
    "uint8_accuracy": {"marker": "s", "color": display.COLOURS[1]},
}


def artifact(number: str, title: str, panels: Sequence[Panel], published: str) -> Artifact:
    """A picture of the networks, a panel for each y axis."""
    columns = [column for _, named in panels for column in named]
    shown = ("network", "mmacs", "published_mmacs", "full_width_mmacs", *columns)
    return Artifact(
        f"factorizenet/figure_{number.replace('.', '_')}",
        f"Thesis, Figure {number}",
        title,
        jobs,
        rows,
        lambda found: draw(first_seed(found), panels),
        shown,
        published=published,
    )


def draw(rows: Sequence[Row], panels: Sequence[Panel]) -> Figure:
    """Draws the panels side by side, networks named on top.

    Against the MACs at full width; accuracies with their 95 % interval by images and draws, other
    figures with the deviation over draws; what the thesis' text says in grey beside it.
    """
    with matplotlib.style.context(figures.STYLE):
        size = (display.FULL_WIDTH, display.ROW_HEIGHT + 1.0)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, panel in zip(axes, panels, strict=True):
            panel_of(ax, rows, panel)
    return figure


def panel_of(axes: Axes, rows: Sequence[Row], panel: Panel) -> None:
    """Draws one panel; networks without MACs have no point."""
    placed = [row for row in rows if row["mmacs"] is not None]
    title, named = panel
    for column, label in named.items():
        macs, values = ([float(row[key] or 0) for row in placed] for key in (MACS, column))
        spread = [error_of(row, column) for row in placed]
        style: Any = STYLES.get(column, STYLES["fp32_accuracy"])
        axes.errorbar(macs, values, spread, label=label, linestyle="", capsize=2, **style)
        theirs = [row for row in placed if row.get(f"published_{column}") is not None]
        if theirs:
            at, said = (
                [float(row[key] or 0) for row in theirs] for key in (MACS, f"published_{column}")
            )
            grey: Any = {"marker": style["marker"], "markerfacecolor": "none", "color": "0.45"}
            name = f"{label}, published" if len(named) > 1 else "published"
            axes.plot(at, said, linestyle="", label=name, **grey)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel("million MACs of the convolutions at full width")
    axes.set_ylabel(title)
    names = axes.secondary_xaxis("top")
    places = [float(row[MACS] or 0) for row in placed]
    names.set_xticks(places, [_short(row) for row in placed], rotation=90, fontsize="x-small")
    names.tick_params(length=2)
    names.minorticks_off()
    if len(axes.get_legend_handles_labels()[1]) > 1:
        axes.legend()


def error_of(row: Row, column: str) -> float:
    """Half of an accuracy's 95 % interval by images and draws; of others a deviation over draws."""
    std = float(row.get(f"{column}_std") or 0)
    if not column.endswith("accuracy"):
        return std
    share, draws = float(row[column] or 0) / 100, float(row.get("draws") or 1)
    sampled = 1e4 * share * (1 - share) / float(row["images"] or 1)
    return CERTAIN * math.sqrt(sampled + std**2 / draws)


def _short(row: Row) -> str:
    return display.short_name(str(row["network"]), "FactorizeNet").removesuffix(" Conv")


ARTIFACTS = (
    artifact(
        "5.4",
        "Accuracy and QMSE against the convolutions' MACs",
        (ACCURACY, ("QMSE of the output", {"qmse": "QMSE"})),
        "The text (5.5) names three of the eight networks' MACs and accuracies: Regular Conv 266.0 "
        "million, 88.37 % and 85.60 %; f2 153.8 million, 86.54 % and 80.05 %; finit2 104.3 "
        "million, 86.01 % and 80.31 %.",
    ),
    artifact(
        "5.5",
        "QCE and percent accuracy decrease against the convolutions' MACs",
        (
            ("QCE of the output in nats", {"qce": "QCE"}),
            (
                "percent accuracy decrease, absolute",
                {"percent_decrease": "percent accuracy decrease"},
            ),
        ),
        "Percent decreases of 3.13 (Regular Conv), 4.21 (DWS Conv), 14.8 (f16), and 5.88 to 7.53 "
        "for the five others (5.5).",
    ),
)
