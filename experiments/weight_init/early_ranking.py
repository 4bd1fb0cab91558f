"""Thesis, 4.6: how early can it be told which networks will quantize badly?

    python -m experiments.run --artifact=weight_init/early_ranking --scale=reduced

The thesis finds its eight networks' final ranking hard to predict before the end of training, and
asks for "some other more refined metric that can better predict" it, at more epochs. Here: over
all networks of Table 4.2 that train, the rank correlation (Spearman) of each statistic at an epoch
with the loss at the end, the points that 8 bits take, with their sign; p is two-sided and not
corrected for the number of statistics. `rank_of_worst` is the place that the finally worst network
has by the statistic at that epoch, of `networks` places: 1 is the worst one's (for precisions and
fp32 accuracy: the smallest).

Statistics of `source` "analysis" come from the network quantized at the published epochs 5, 50, 75
and 150 (as far into this scale's training) with one calibration draw, and at the end with all
draws: `loss`, `qmse`, `qkl_div` of the output, `fp32_accuracy`, and means over layers
of range and average precision of BN-folded weights and of activations. There `loss` at
the end is what is predicted: 1 by definition. Those of `source` "dynamics" come from training
itself, every epoch, nothing quantized: means over layers of range and average precision of weights
(not folded) and of activations' range.

Cost: the trainings and final analyses of Table 4.2, and four analyses more a network. smoke
1.5 minutes (6 networks), reduced about 20 minutes on two cores beyond Table 4.2, paper about
2 hours a network on a GPU.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.jobs import Analysis, analysis_of, training_of
from experiments.engine.networks import WEIGHT_INIT, Network
from experiments.engine.scales import CHECKPOINTS, PUBLISHED_EPOCHS
from experiments.engine.store import Job, Store
from experiments.evidence import display
from experiments.evidence.effects import spearman
from experiments.evidence.layerwise import value_of
from experiments.evidence.outcomes import outcome
from experiments.weight_init import checkpoints, dynamics
from tfqdyn import results
from tfqdyn.results import restore
from tfqdyn.results.layervalues import mean_of
from tfqdyn.show import figures

OUTPUT = ("loss", "qmse", "qkl_div", "fp32_accuracy")
"""Statistics of the whole network, columns of `outcomes.outcome`."""
LAYERS = ("folded_range", "folded_precision", "activation_range", "activation_precision")
"""Statistics that are means over layers, of `layerwise.COLUMNS`."""
DYNAMICS = tuple(dynamics.TITLES)
"""Statistics of training itself, means over layers."""
LOW_IS_BAD = ("folded_precision", "activation_precision", "weight_precision", "fp32_accuracy")

GAP = 0.1
"""Of correlation between the names of two lines."""
LEVEL = 0.05
"""Of the p from which on a correlation is outside the grey band."""

Statistics = Mapping[str, float]


def early(network: Network, scope: Scope, published_epoch: int) -> Analysis:
    """A network's analysis in the course of training, with one calibration draw."""
    whole = checkpoints.analysis_at(network, scope, published_epoch)
    return dataclasses.replace(whole, config=dataclasses.replace(whole.config, trials=1))


def analyses(network: Network, scope: Scope) -> dict[int, Analysis]:
    """A network's analyses by published epoch."""
    found = {epoch: early(network, scope, epoch) for epoch in CHECKPOINTS[:-1]}
    return found | {CHECKPOINTS[-1]: analysis_of(network, scope.scale, scope.seed)}


def jobs(scope: Scope) -> Sequence[Job]:
    """The analyses of every network."""
    networks = scope.scale.networks(WEIGHT_INIT)
    return [job for network in networks for job in analyses(network, scope).values()]


def rows(scope: Scope, store: Store) -> Sequence[Row]:
    """A row a statistic and epoch; networks that did not train are left out."""
    final: dict[str, float] = {}
    analyzed: dict[int, dict[str, Statistics]] = {epoch: {} for epoch in CHECKPOINTS}
    watched: dict[int, dict[str, Statistics]] = {}
    for network in scope.scale.networks(WEIGHT_INIT):
        found = analyses(network, scope)
        if not all(map(store.done, found.values())):
            continue
        last = outcome(found[CHECKPOINTS[-1]], store)
        if last["status"] != "finished" or last["loss"] is None:
            continue
        final[network.name] = last["loss"]
        for epoch, analysis in found.items():
            analyzed[epoch][network.name] = of_analysis(analysis, store)
        training = training_of(network, scope.scale, scope.seed)
        for epoch, statistics in of_dynamics(dynamics.recorded(training, store)).items():
            published = epoch * PUBLISHED_EPOCHS // training.recipe.epochs
            watched.setdefault(published, {})[network.name] = statistics
    named = (("analysis", analyzed, (*OUTPUT, *LAYERS)), ("dynamics", watched, DYNAMICS))
    return [
        {"statistic": statistic, "source": source, "published_epoch": epoch, **told}
        for source, by_epoch, statistics in named
        for statistic in statistics
        for epoch, networks in by_epoch.items()
        for told in [foretold({n: s[statistic] for n, s in networks.items()}, final, statistic)]
    ]


def of_analysis(analysis: Analysis, store: Store) -> Statistics:
    """The statistics `OUTPUT` and `LAYERS` of a finished analysis."""
    output = outcome(analysis, store)
    layers = restore.layers(results.read(store.folder(analysis)))
    numbered = [layer for layer in layers if layer.number is not None]
    read = {name: [mean_of(value_of(name).read(layer)) for layer in numbered] for name in LAYERS}
    return {name: output[name] for name in OUTPUT} | {
        name: float(np.mean([value for value in values if value is not None]))
        for name, values in read.items()
    }


def of_dynamics(recorded: Sequence[Mapping[str, Any]]) -> dict[int, Statistics]:
    """The statistics `DYNAMICS` by epoch, from `dynamics.recorded`."""
    by_epoch: dict[int, list[Mapping[str, Any]]] = {}
    for row in recorded:
        by_epoch.setdefault(row["epoch"], []).append(row)
    return {
        epoch: {name: float(np.mean([row[name] for row in layers])) for name in DYNAMICS}
        for epoch, layers in by_epoch.items()
    }


def foretold(
    early: Mapping[str, float | None], final: Mapping[str, float], statistic: str
) -> dict[str, Any]:
    """How a statistic of each network agrees with what became of it.

    Args:
        early: the statistic by network; those without it are left out.
        final: loss at the end of training, by network.
        statistic: its name; `LOW_IS_BAD` says which are bad where they are small.

    Returns:
        `networks`, `rho` and `p` (None where undefined, see `effects.spearman`), `worst` and
        `rank_of_worst`.
    """
    values = {name: value for name, value in early.items() if value is not None}
    if not values:
        return {"networks": 0, "rho": None, "p": None, "worst": None, "rank_of_worst": None}
    rho, p = spearman(list(values.values()), [final[name] for name in values])
    worst = max(values, key=lambda name: final[name])
    sign = -1 if statistic in LOW_IS_BAD else 1
    worse = sum(sign * value > sign * values[worst] for value in values.values())
    return {
        "networks": len(values),
        "rho": rho,
        "p": p,
        "worst": worst,
        "rank_of_worst": 1 + worse,
    }


def draw(rows: Sequence[Row]) -> Figure:
    """Rank correlation against the epoch: quantized networks left, training itself right.

    Inside the grey band a correlation has p > 0.05.
    """
    with matplotlib.style.context(figures.STYLE):
        size = (display.FULL_WIDTH, display.ROW_HEIGHT + 1.2)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for ax, source in zip(axes, ("analysis", "dynamics"), strict=True):
            _panel(ax, [row for row in rows if row["source"] == source])
        known = "loss" if any(row["statistic"] == "loss" for row in rows) else "decrease"
        axes[0].set_ylabel(f"rank correlation with final {known}")
        axes[0].set_title("quantized in the course of training")
        axes[1].set_title("training itself")
    return figure


def _panel(axes: Axes, rows: Sequence[Row]) -> None:
    for position, statistic in enumerate(dict.fromkeys(row["statistic"] for row in rows)):
        own = [row for row in rows if row["statistic"] == statistic and row["rho"] is not None]
        if not own:
            continue
        style: Any = display.line_style(position)
        epochs, rho = ([float(row[key] or 0) for row in own] for key in ("published_epoch", "rho"))
        axes.plot(epochs, rho, label=str(statistic).replace("_", " "), **style)
    numbers = [int(row["networks"] or 0) for row in rows]
    if min(numbers, default=0) > 2:
        bound = _critical(min(numbers))
        axes.axhspan(-bound, bound, color="0.93", zorder=0)
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.set_ylim(-1.05, 1.05)
    axes.set_xlabel("published epoch, of 200")
    _named_at_their_ends(axes)


def _named_at_their_ends(axes: Axes) -> None:
    """Names lines beside their last points, moved apart where these are close."""
    lines = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    ends = [float(np.asarray(line.get_ydata())[-1]) for line in lines]
    floor = -1.0
    for at in sorted(range(len(lines)), key=lambda at: ends[at]):
        above = sum(end > ends[at] for end in ends)
        height = max(floor, min(ends[at], 1.0 - GAP * above))
        floor = height + GAP
        axes.annotate(
            str(lines[at].get_label()),
            (1.02, height),
            xycoords=("axes fraction", "data"),
            color=lines[at].get_color(),
            fontsize="x-small",
            va="center",
            annotation_clip=False,
        )


def _critical(number: int) -> float:
    """The correlation of so many pairs from which on p <= 0.05, two-sided, by Student's t."""
    t = float(stats.t.ppf(1 - LEVEL / 2, number - 2))
    return t / float(np.sqrt(number - 2 + t * t))


ARTIFACT = Artifact(
    "weight_init/early_ranking",
    "Thesis, 4.6",
    "How early the final ranking can be told",
    jobs,
    rows,
    draw,
    columns=("statistic", "source", "published_epoch", "networks", "rho", "p", "rank_of_worst"),
)
