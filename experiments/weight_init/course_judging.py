"""Predicates of the thesis' claims about the course of training (4.6): rows in, judgements out."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from experiments.evidence.claims import Judgement, Rows
from experiments.evidence.ranktests import LEVEL, above_zero, spearman
from experiments.evidence.standing import place_of
from experiments.mobilenets.judging import conclusion
from experiments.weight_init import table_4_3, table_4_4

TABLE_3, TABLE_4, EARLY = (f"weight_init/{n}" for n in ("table_4_3", "table_4_4", "early_ranking"))
FIGURES = tuple(f"weight_init/figure_4_{number}" for number in (6, 7, 8))
FIRST, MIDDLE, LAST = 5, 75, 200
"""Published epochs."""
ENOUGH = 20
"""Networks from which on a correlation that is not found says something: of one of 0.6, 20 networks
miss p <= 0.05 in about one case of five."""
SHARE = 0.5
"""Of the variance of ranks: what explains less does not predict a ranking."""
Found = Mapping[str, Rows]


def early_rows(found: Found, statistic: str) -> dict[int, Any]:
    """The rows of the early ranking of a statistic of quantized networks, by published epoch."""
    rows = (r for r in found[EARLY] if (r["source"], r["statistic"]) == ("analysis", statistic))
    return {row["published_epoch"]: row for row in rows}


def epoch_5_says_nothing(found: Found) -> Judgement:
    """Holds if neither decrease nor QMSE at epoch 5 goes along with the final decrease.

    That is, no rank correlation above 0 with p <= 0.05.
    """
    at = {name: early_rows(found, name)[FIRST] for name in ("percent_decrease", "qmse")}
    if refused := _too_few(list(at.values())):
        return refused
    told = ", ".join(f"{name} {_told(row)}" for name, row in at.items())
    effect = f"rank correlation with the final decrease: {told}; published eight {_published()}"
    return Judgement(not any(row["rho"] > 0 and row["p"] <= LEVEL for row in at.values()), effect)


def ranking_is_hard_to_predict(found: Found) -> Judgement:
    """Holds if at no checkpoint before the end the decrease explains half the ranks' variance."""
    rows = early_rows(found, "percent_decrease")
    before = [row for epoch, row in rows.items() if epoch < LAST]
    if refused := _too_few(before):
        return refused
    told = ", ".join(f"epoch {row['published_epoch']} {_told(row)}" for row in before)
    predicts = any(row["rho"] > 0 and row["rho"] ** 2 >= SHARE for row in before)
    return Judgement(not predicts, f"rank correlation with the final decrease: {told}")


def _too_few(rows: Sequence[Any]) -> Judgement | None:
    number = min((row["networks"] for row in rows if row["rho"] is not None), default=0)
    if len(rows) and number >= ENOUGH and all(row["rho"] is not None for row in rows):
        return None
    return Judgement(None, "", f"{number} networks with figures; {ENOUGH} are needed")


def _told(row: Any) -> str:
    return f"{row['rho']:.2f} (n = {row['networks']}, p = {row['p']:.2g})"


def _published() -> str:
    """The thesis' own rank correlation of percent decrease at epoch 5 and at the end."""
    decreases = [(epochs[0][-1], epochs[-1][-1]) for epochs in table_4_3.PUBLISHED.values()]
    return str(spearman(*(list(column) for column in zip(*decreases, strict=True))))


def known_by_75(table: str, column: str, worst: int) -> Callable[[Found], Judgement]:
    """Whether the networks with the largest values at the end have them at epoch 75 already."""

    def judge(found: Found) -> Judgement:
        rows = [row for row in found[table] if row["status"] == "finished"]
        middle, last = (
            [row for row in rows if row["published_epoch"] == epoch and row[column] is not None]
            for epoch in (MIDDLE, LAST)
        )
        if len(last) < 2 * worst + 2:
            return Judgement(None, "", f"only {len(last)} networks train")
        finally_worst, then_worst = (
            {row["network"] for row in rows if place_of(row, rows, 1, column) <= worst}
            for rows in (last, middle)
        )
        values = {row["network"]: row[column] for row in last}
        told = ", ".join(
            f"{row['network']} {row[column]:.3g} then (place {place_of(row, middle, 1, column)} of "
            f"{len(middle)}), {values[row['network']]:.3g} at the end"
            for row in middle
            if row["network"] in finally_worst
        )
        theirs = {"percent_decrease": table_4_3.PUBLISHED, "qmse": table_4_4.PUBLISHED}[column]
        published = sorted(theirs, key=lambda name: theirs[name][-1][-1])[-worst:]
        effect = f"{column}: {told}; published worst at the end: {', '.join(published)}"
        return Judgement(finally_worst == then_worst, effect)

    return judge


def changes(rows: Rows, column: str) -> dict[tuple[str, int], list[float]]:
    """Change from epoch to epoch by network and layer, as a share of the value's mean."""
    values: dict[tuple[str, int], list[float]] = {}
    for row in sorted((r for r in rows if r[column] is not None), key=lambda row: row["epoch"]):
        values.setdefault((row["network"], row["number"]), []).append(row[column])
    return {
        layer: [abs(b - a) / (fmean(of) or 1.0) for a, b in itertools.pairwise(of)]
        for layer, of in values.items()
    }


QUARTER = 4
FEWEST_CHANGES = 8


def statistics_converge(found: Found) -> Judgement:
    """Holds if layers change less from epoch to epoch in the last quarter than in the first."""
    watched = (
        (FIGURES[0], "weight_range"), (FIGURES[0], "weight_precision"),
        (FIGURES[1], "weight_range"), (FIGURES[1], "weight_precision"),
        (FIGURES[2], "activation_range"),
    )  # fmt: skip
    early, late = [], []
    for artifact, column in watched:
        for steps in changes(found[artifact], column).values():
            if len(steps) >= FEWEST_CHANGES:
                size = len(steps) // QUARTER
                early.append(fmean(steps[:size]))
                late.append(fmean(steps[-size:]))
    if not early:
        return Judgement(None, "", f"fewer than {FEWEST_CHANGES + 1} epochs")
    test = above_zero([e - f for e, f in zip(early, late, strict=True)])
    effect = (
        f"median change an epoch {median(early):.2%} in the first quarter, {median(late):.2%} in "
        f"the last; difference {test}"
    )
    return conclusion((test.figure or 0) > 0, test, effect)


def activations_vary_most(found: Found) -> Judgement:
    """Holds if layers' activation ranges change more than weights ranges in the first half."""
    activations = changes(found[FIGURES[2]], "activation_range")
    weights = changes(found[FIGURES[0]], "weight_range") | changes(
        found[FIGURES[1]], "weight_range"
    )
    both = [
        (fmean(activations[layer][: len(steps) // 2]), fmean(steps[: len(steps) // 2]))
        for layer, steps in weights.items()
        if len(steps) >= FEWEST_CHANGES and len(activations.get(layer, ())) == len(steps)
    ]
    if not both:
        return Judgement(None, "", f"fewer than {FEWEST_CHANGES + 1} epochs")
    test = above_zero([a - w for a, w in both])
    effect = (
        f"median change an epoch {median(a for a, _ in both):.2%} of activation ranges, "
        f"{median(w for _, w in both):.2%} of weights ranges; difference {test}"
    )
    return conclusion((test.figure or 0) > 0, test, effect)
