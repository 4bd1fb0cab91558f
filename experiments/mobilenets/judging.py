"""Predicates of Yun & Wong's claims about networks: rows of Table 1 in, judgements out.

A network is one value. Networks whose training did not finish are left out, and named in the note.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from scipy import stats

from experiments.evidence.claims import Judgement, Rows
from experiments.evidence.ranktests import BY_CHANCE, FEWEST, Test, greater, verdict

TABLE = "mobilenets/table_1"
DEPTHWISE = ("DWS", "MobileNet")
OUTPUT_ERRORS = ("percent_decrease", "qmse", "qce", "qkl_div")
Found = Mapping[str, Rows]


def families(
    values: Mapping[str, Sequence[float]], published: str = "", note: str = ""
) -> Judgement:
    """Whether depthwise networks have larger values than Regular-ConvNets.

    Holds if the mean of the DWS-ConvNets and that of the MobileNets are both larger than the
    Regular-ConvNets' and the one-sided Mann-Whitney test of all against the latter says p <= 0.05.

    Args:
        values: one a network, by family.
        published: the paper's means, for the effect.
        note: what the note says besides.
    """
    missing = [family for family in ("Regular", *DEPTHWISE) if not values.get(family)]
    if missing:
        return Judgement(None, "", joined(f"no trained network of {', '.join(missing)}", note))
    means = {family: fmean(values[family]) for family in ("Regular", *DEPTHWISE)}
    so = all(means[family] > means["Regular"] for family in DEPTHWISE)
    test = greater([v for family in DEPTHWISE for v in values[family]], values["Regular"])
    effect = "; ".join(f"{family} {spread(values[family])}" for family in means)
    return conclusion(so, test, f"{effect}{published}; pairs above {test}", note)


def of_table(column: str) -> Callable[[Found], Judgement]:
    """`families` on a column of Table 1, the published means beside ours."""

    def judge(found: Found) -> Judgement:
        rows = [row for row in trained(found) if row[column] is not None]
        values, paper = (
            {f: [row[name] for row in rows if row["family"] == f] for f in ("Regular", *DEPTHWISE)}
            for name in (column, f"published_{column}")
        )
        means = ", ".join(f"{fmean(of):.3g}" for of in paper.values() if of)
        return families(values, f" (published {means})", left_out(found))

    return judge


def resnet_like_regular(found: Found) -> Judgement:
    """Whether ResNet-34 quantizes like Regular-ConvNets.

    Holds if its means of all four `OUTPUT_ERRORS` are nearer to the Regular-ConvNets' than to those
    of the depthwise networks, and depthwise networks lose more accuracy than ResNet-34 does (one-
    sided Mann-Whitney, p <= 0.05).
    """
    rows = trained(found)
    groups = {"ResNet34": ("ResNet34",), "Regular": ("Regular",), "depthwise": DEPTHWISE}
    own = {name: [row for row in rows if row["family"] in of] for name, of in groups.items()}
    if not all(own.values()):
        missing = ", ".join(name for name, of in own.items() if not of)
        return Judgement(None, "", joined(f"no trained network of {missing}", left_out(found)))
    told: list[str] = []
    near: list[bool] = []
    for column in OUTPUT_ERRORS:
        means = {name: fmean(row[column] for row in of) for name, of in own.items()}
        to = {name: abs(means["ResNet34"] - means[name]) for name in ("Regular", "depthwise")}
        near.append(to["Regular"] < to["depthwise"])
        told.append(f"{column} " + ", ".join(f"{mean:.3g}" for mean in means.values()))
    lost = {name: [row["percent_decrease"] for row in of] for name, of in own.items()}
    test = greater(lost["depthwise"], lost["ResNet34"])
    effect = (
        f"ResNet34, Regular, depthwise: {'; '.join(told)}; nearer in {sum(near)} of {len(near)}; "
        f"depthwise lose more {test}"
    )
    return conclusion(all(near), test, effect, left_out(found))


def moved_by(factor: str, other: str) -> Callable[[Found], Judgement]:
    """Whether a choice moves depthwise networks more than Regular-ConvNets.

    Pairs of networks of a family differ in nothing but `factor`. A pair's move is the absolute
    difference of its mean percent accuracy decreases; its error follows from the deviations over
    draws. Holds if the mean move of depthwise pairs exceeds that of regular pairs, by a one-sided
    normal test with p <= 0.05. Noise of the draws alone makes a move of 0.8 of its error.
    """

    def judge(found: Found) -> Judgement:
        rows = [row for row in trained(found) if row["percent_decrease_std"] is not None]
        moves: dict[str, list[tuple[float, float]]] = {"depthwise": [], "Regular": []}
        for row in rows:
            for partner in rows:
                same = all(row[name] == partner[name] for name in ("family", other))
                if same and row[factor] < partner[factor] and row["family"] != "ResNet34":
                    group = "depthwise" if row["family"] in DEPTHWISE else "Regular"
                    moves[group].append(_move(row, partner))
        if not all(moves.values()):
            return Judgement(None, "", joined(f"no pairs that differ in {factor}", left_out(found)))
        means = {name: fmean(move for move, _ in of) for name, of in moves.items()}
        errors = {
            name: math.sqrt(sum(error**2 for _, error in of)) / len(of)
            for name, of in moves.items()
        }
        difference = means["depthwise"] - means["Regular"]
        error = math.hypot(*errors.values())
        p = float(stats.norm.sf(difference / error)) if error else None
        test = Test(difference, p, sum(map(len, moves.values())))
        told = ", ".join(
            f"{name} {means[name]:.3g} ± {errors[name]:.2g} ({len(of)} pairs)"
            for name, of in moves.items()
        )
        effect = f"points of percent decrease: {told}; difference {test}"
        return conclusion(difference > 0, test, effect, left_out(found))

    return judge


def _move(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[float, float]:
    """Difference of two networks' percent accuracy decreases, and its standard error."""
    difference = abs(first["percent_decrease"] - second["percent_decrease"])
    errors = (row["percent_decrease_std"] / math.sqrt(row["draws"]) for row in (first, second))
    return difference, math.hypot(*errors)


def trained(found: Found) -> list[Mapping[str, Any]]:
    """The rows of Table 1 whose training finished."""
    return [row for row in found[TABLE] if row["status"] == "finished"]


def left_out(found: Found) -> str:
    """A note that names the networks whose training failed; empty where there are none."""
    failed = [row for row in found[TABLE] if row["status"] != "finished"]
    names = ", ".join(f"{row['network']} ({row['status']})" for row in failed)
    return f"left out: {names}" if names else ""


def conclusion(so: bool, test: Test, effect: str, note: str = "") -> Judgement:
    """The judgement of what is so by a test (`ranktests.verdict`); none on too few cases."""
    if test.p is None or test.number < FEWEST:
        return Judgement(None, effect, joined("too few networks for a test", note))
    holds = verdict(so, test)
    return Judgement(holds, effect, joined(BY_CHANCE if holds is None else "", note))


def joined(*notes: str) -> str:
    """Notes as one."""
    return "; ".join(note for note in notes if note)


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation of several values, as text."""
    deviation = f" ± {stdev(values):.2g}" if len(values) > 1 else ""
    return f"{fmean(values):.3g}{deviation}"
