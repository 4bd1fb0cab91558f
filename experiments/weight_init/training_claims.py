"""What the thesis claims of the course of training (4.6), each with the effect that decides it.

These claims are about training itself and have no control before it. That an early figure says
little of the final one is measured against what the final figure says of itself: where losses are
all noise nothing foretells them, and nothing is claimed.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from functools import partial
from statistics import fmean, variance
from typing import Any

from experiments.evidence import readings
from experiments.evidence.claims import Found, Rows, claim
from experiments.evidence.effects import (
    Apart,
    Correlation,
    Missing,
    Sample,
    Values,
    correlated,
    mean,
)
from experiments.evidence.named import OF_THESE, Place
from experiments.weight_init import table_4_3, table_4_4
from experiments.weight_init.claims import OF_LAYERS, OF_TABLE
from experiments.weight_init.samples import TABLE

TABLE_3, TABLE_4, EARLY = (f"weight_init/{n}" for n in ("table_4_3", "table_4_4", "early_ranking"))
WATCHED = tuple(f"weight_init/figure_4_{number}" for number in (6, 7, 8))
FIRST, MIDDLE, LATE, LAST = 5, 75, 150, 200
"""Published epochs."""
EPOCHS = (FIRST, 50, MIDDLE, LATE, LAST)
SETTLED = 0.05
"""Of a value's range over training: within so much of its last value it has settled."""
FEWEST_EPOCHS = 4
ENOUGH = 8
"""Networks that a correlation over the course needs."""


def at_epoch(found: Found, table: str, epoch: int) -> list[Mapping[str, Any]]:
    """The rows of a published epoch of networks that have figures there."""
    return [
        row
        for row in found[table]
        if row["published_epoch"] == epoch and row["status"] == "finished"
    ]


def loss_grows(found: Found) -> Sample:
    """Mean loss of the eight networks at the end, less that at epoch 5."""
    last, first = (readings.losses(at_epoch(found, TABLE_3, epoch)) for epoch in (LAST, FIRST))
    return mean({key: last[key] - first[key] for key in last if key in first})


def published_growth() -> float:
    """The same of the thesis."""
    lost = [[a - b for a, b, _ in epochs] for epochs in table_4_3.PUBLISHED.values()]
    return fmean(of[-1] - of[0] for of in lost)


def known_by_75(table: str, column: str, worst: int) -> Callable[[Found], Sample | Missing]:
    """At epoch 75, the finally worst networks above all others."""

    def effect(found: Found) -> Sample | Missing:
        log = column != "loss"
        then, last = (at_epoch(found, table, epoch) for epoch in (MIDDLE, LAST))
        finally_, values = (readings.column(rows, column, log=log) for rows in (last, then))
        errors = (
            readings.loss_errors(then) if not log else readings.draw_errors(then, column, log=True)
        )
        seed = min((key[1] for key in values), default=0)
        ours = {key: value for key, value in values.items() if key[1] == seed}
        ranked = sorted((k for k in finally_ if k[1] == seed), key=lambda key: -finally_[key])
        names = tuple(name for name, _ in ranked[:worst])
        if len(names) < worst:
            return Missing(f"only {len(names)} networks train")
        return Place(names, ours, errors, OF_THESE)

    return effect


def published_gap(published: Mapping[str, Any], value: Callable[[Any], float], worst: int) -> float:
    """The same of the thesis' tables."""
    last = {name: value(epochs[-1]) for name, epochs in published.items()}
    then = {name: value(epochs[EPOCHS.index(MIDDLE)]) for name, epochs in published.items()}
    named = sorted(last, key=lambda name: -last[name])[:worst]
    return min(then[n] for n in named) - max(v for n, v in then.items() if n not in named)


def reliability(found: Found) -> float:
    """Share of the final losses' variance that is not noise of images and draws, from 0 to 1.

    Its root bounds what anything can correlate with them.
    """
    rows = readings.alive(found[TABLE])
    values, errors = readings.losses(rows), readings.loss_errors(rows)
    if len(values) < ENOUGH or not errors:
        return 0.0
    among = variance(values.values())
    noise = fmean(error**2 for error in errors.values())
    return max(0.0, 1 - noise / among) if among else 0.0


def foretold_badly(statistic: str, epoch: int) -> Callable[[Found], Sample | Missing]:
    """How well the final losses could be known, less how well an early statistic tells them."""

    def effect(found: Found) -> Sample | Missing:
        rows = {
            row["published_epoch"]: row
            for row in found[EARLY]
            if (row["source"], row["statistic"]) == ("analysis", statistic)
        }
        row = rows.get(epoch)
        if row is None or row["rho"] is None or row["networks"] < ENOUGH:
            return Missing(f"fewer than {ENOUGH} networks with figures at epoch {epoch}")
        known = math.sqrt(reliability(found))
        rho = min(0.999, max(-0.999, row["rho"]))
        error = math.sqrt((1 + rho**2 / 2) / (row["networks"] - 3))
        ours = correlated(math.atanh(rho), error, row["networks"], "networks")
        top = correlated(math.atanh(min(0.999, known)), error, row["networks"], "networks")
        return Apart(top, ours)

    return effect


def courses(rows: Rows, column: str) -> dict[tuple[str, int], list[float]]:
    """The values of a column after each epoch, by network and layer; not those before the first."""
    values: dict[tuple[str, int], list[float]] = {}
    trained = [row for row in rows if row.get(column) is not None and row["epoch"]]
    for row in sorted(trained, key=lambda r: r["epoch"]):
        values.setdefault((str(row["network"]), int(row["number"])), []).append(row[column])
    return {layer: of for layer, of in values.items() if len(of) >= FEWEST_EPOCHS}


def settling(course: list[float]) -> float:
    """Share of training after which a value stays within `SETTLED` of where it ends."""
    allowed = SETTLED * (max(course) - min(course))
    moving = [at for at, value in enumerate(course) if abs(value - course[-1]) > allowed]
    return (max(moving) + 1) / (len(course) - 1) if moving else 0.0


def layers_settle_apart(found: Found) -> Sample:
    """Rank correlation over layers of when range and when average precision of weights settle."""
    pairs: dict[tuple[str, int], tuple[str, float, float]] = {}
    for artifact in WATCHED[:2]:
        ranges = courses(found[artifact], "weight_range")
        precisions = courses(found[artifact], "weight_precision")
        for (network, number), course in ranges.items():
            if (network, number) in precisions:
                both = settling(course), settling(precisions[network, number])
                pairs[f"{network} layer {number}", 0] = (network, *both)
    return Correlation(pairs, "layers")


def restlessness(course: list[float]) -> float:
    """Mean change an epoch in the first half, as a share of the value's mean."""
    half = course[: len(course) // 2 + 1]
    steps = [abs(b - a) for a, b in itertools.pairwise(half)]
    return fmean(steps) / (fmean(course) or 1.0)


def activations_vary_most(found: Found) -> Sample:
    """log10 of activation range's restlessness over weights range's, mean over layers."""
    weights = {
        layer: course
        for artifact in WATCHED[:2]
        for layer, course in courses(found[artifact], "weight_range").items()
    }
    activations = courses(found[WATCHED[2]], "activation_range")
    values: Values = {
        (f"{name} layer {number}", 0): math.log10(restlessness(course) / restlessness(own))
        for (name, number), course in activations.items()
        if (own := weights.get((name, number))) and restlessness(own) > 0 < restlessness(course)
    }
    return mean(values, "layers")


_claim = partial(claim, prefix="weight_init/", work="thesis", cited="Thesis")


COURSE = (
    _claim(
        "loss_grows_over_training",
        "Quantization costs more as training goes on: mean loss of the eight networks at the end, "
        "less that at epoch 5.",
        "4.6 and Table 4.3",
        (TABLE_3,),
        loss_grows,
        "points",
        published_growth(),
        published=True,
    ),
    *(
        _claim(
            f"epoch_5_{name}_says_little",
            f"{shown} at epoch 5 is not representative of the trained networks: rank correlation "
            "that the noise of the final losses allows, less its own with them.",
            "4.6",
            (TABLE, EARLY),
            foretold_badly(statistic, FIRST),
            "rank correlation",
            0.3,
        )
        for name, shown, statistic in (
            ("loss", "The loss", "loss"),
            ("qmse", "QMSE", "qmse"),
        )
    ),
    _claim(
        "ranking_hard_to_predict",
        "The ranking by quantized accuracy is hard to predict before the end of training: the same "
        "for the loss at epoch 150.",
        "4.6",
        (TABLE, EARLY),
        foretold_badly("loss", LATE),
        "rank correlation",
        0.3,
    ),
    _claim(
        "worst_known_by_75",
        "By epoch 75 the network that loses most in the end is apparent: its loss then, above the "
        "nearest other's. Of these trainings: the interval holds images and draws.",
        "4.6 and Table 4.3",
        (TABLE_3,),
        known_by_75(TABLE_3, "loss", 1),
        "points",
        published_gap(table_4_3.PUBLISHED, lambda of: of[0] - of[1], 1),
        published=True,
    ),
    _claim(
        "two_worst_known_by_75",
        "By epoch 75 QMSE tells the two worst networks: log10 of theirs then, above the nearest "
        "other's. Of these trainings: the interval holds draws.",
        "4.6 and Table 4.4",
        (TABLE_4,),
        known_by_75(TABLE_4, "qmse", 2),
        "decades",
        published_gap(table_4_4.PUBLISHED, lambda of: math.log10(of[0]), 2),
        published=True,
    ),
    _claim(
        "layers_settle_apart",
        "When statistics stabilize varies between layers: were that chance, a layer whose range "
        "settles late would not settle late in average precision too; rank correlation of the two "
        "over the layers of a network.",
        "4.6 and Figures 4.6, 4.7",
        WATCHED[:2],
        layers_settle_apart,
        "rank correlation",
        0.5,
    ),
    _claim(
        "activations_vary_most",
        "Early variation is most pronounced in the activation ranges: log10 of a layer's mean "
        "change an epoch in the first half of training, as a share of its mean, over that of its "
        "weights range.",
        "4.6",
        WATCHED,
        activations_vary_most,
        "decades",
        0.1,
    ),
)

CLAIMS = (*OF_TABLE, *OF_LAYERS, *COURSE)
