"""Predicates of the thesis' claims about FactorizeNets (5.5, 6.2.5): rows in, judgements out."""

import math
from collections.abc import Callable, Mapping
from statistics import fmean, median
from typing import Any

from experiments.evidence.claims import Judgement, Rows
from experiments.evidence.ranktests import above_zero, greater, more_often, spearman
from experiments.evidence.standing import extreme, lived
from experiments.factorizenet.spectrum import SPECTRUM
from experiments.mobilenets.judging import conclusion

TABLE = "factorizenet/figure_5_4"
WEIGHTS, FOLDED, ACTIVATIONS, FOLDED_PRECISION = (
    f"factorizenet/figure_5_{number}" for number in (6, 7, 8, 14)
)
REGULAR, F2, FINIT2, F16, DWS = (
    SPECTRUM[0].name, "FactorizeNet-f2", "FactorizeNet-finit2", "FactorizeNet-f16", "DWS Conv",
)  # fmt: skip
FACTORIZED = tuple(n.name for n in SPECTRUM if n.name not in (REGULAR, DWS))
CERTAIN = 1.96
"""Standard errors of a normal variable's 95 % interval."""
PUBLISHED_LOSS = 88.37 - 86.01
"""Points of fp32 accuracy between Regular Conv and finit2 in the thesis, "very small"."""
PUBLISHED_RATIO = 2.5
EARLY = 5
"""Layers from the first convolution to the end of the second block."""
Found = Mapping[str, Rows]


def error(first: Mapping[str, Any], second: Mapping[str, Any], accuracy: str) -> float:
    """Standard error of a difference of accuracies, in points.

    That of two independent test samples, and the deviations over calibration draws where there are
    some. Too large where, as here, both networks are scored on the same images.
    """
    variance = 0.0
    for row in (first, second):
        share = row[accuracy] / 100
        variance += 1e4 * share * (1 - share) / row["images"]
        variance += (row.get(f"{accuracy}_std") or 0.0) ** 2
    return math.sqrt(variance)


def equal_for_less(found: Found) -> Judgement:
    """Holds if finit2 has fewer MACs than f2 and neither accuracy is significantly lower."""
    rows = {row["network"]: row for row in lived(found[TABLE])}
    if missing := {F2, FINIT2} - rows.keys():
        return Judgement(None, "", f"not trained here: {', '.join(sorted(missing))}")
    f2, finit2 = rows[F2], rows[FINIT2]
    told, equal, blind = [], [], 0.0
    for accuracy in ("fp32_accuracy", "uint8_accuracy"):
        gap, allowed = f2[accuracy] - finit2[accuracy], CERTAIN * error(f2, finit2, accuracy)
        equal.append(gap <= allowed)
        blind = max(blind, allowed)
        told.append(
            f"{accuracy} {finit2[accuracy]:.2f} against {f2[accuracy]:.2f} % (published "
            f"{finit2[f'published_{accuracy}']} against {f2[f'published_{accuracy}']})"
        )
    macs = [row["full_width_mmacs"] for row in (finit2, f2)]
    effect = f"{macs[0]:.1f} against {macs[1]:.1f} million MACs at full width; {'; '.join(told)}"
    note = f"differences below {blind:.1f} points count as equal"
    return Judgement(macs[0] < macs[1] and all(equal), effect, note)


def small_loss_for_far_less(found: Found) -> Judgement:
    """Holds if finit2 has 2.5 times fewer MACs than Regular Conv and loses at most as published."""
    rows = {row["network"]: row for row in lived(found[TABLE])}
    if missing := {REGULAR, FINIT2} - rows.keys():
        return Judgement(None, "", f"not trained here: {', '.join(sorted(missing))}")
    regular, finit2 = rows[REGULAR], rows[FINIT2]
    ratio = regular["full_width_mmacs"] / finit2["full_width_mmacs"]
    loss = regular["fp32_accuracy"] - finit2["fp32_accuracy"]
    certain = CERTAIN * error(regular, finit2, "fp32_accuracy")
    effect = f"{ratio:.2f} times fewer MACs; loses {loss:.2f} points (published 2.36)"
    note = f"the loss is known to {certain:.1f} points" if certain > abs(loss) else ""
    return Judgement(ratio > PUBLISHED_RATIO and loss <= PUBLISHED_LOSS, effect, note)


def standing(
    *names: str, largest: bool, without: tuple[str, ...] = ()
) -> Callable[[Found], Judgement]:
    """Whether the named networks lose most, or least, accuracy."""

    def judge(found: Found) -> Judgement:
        rows = [row for row in found[TABLE] if row["network"] not in without]
        return extreme(rows, names, largest=largest)

    return judge


def by_network(found: Found, artifact: str, column: str) -> dict[str, list[float]]:
    """A column of the convolutions by network that trained, in their order."""
    trained = {row["network"] for row in lived(found[TABLE])}
    values: dict[str, list[float]] = {}
    for row in found[artifact]:
        if row["kind"] != "dense" and row["network"] in trained:
            values.setdefault(row["network"], []).append(row[column])
    return values


def first_layer_grows_least_in_dws(found: Found) -> Judgement:
    """Holds if folding widens DWS Conv's first layer less than that of each grouped network."""
    before, after = (
        {name: values[0] for name, values in by_network(found, artifact, column).items()}
        for artifact, column in ((WEIGHTS, "weight_range"), (FOLDED, "folded_range"))
    )
    growth = {name: after[name] / before[name] for name in (DWS, *FACTORIZED) if before.get(name)}
    if DWS not in growth or len(growth) < 3:
        return Judgement(None, "", f"needs {DWS} and two grouped networks")
    effect = ", ".join(f"{name} {ratio:.3g}" for name, ratio in growth.items())
    least = all(growth[DWS] < ratio for name, ratio in growth.items() if name != DWS)
    return Judgement(least, f"folded range / range of layer 1: {effect}")


def ranges_fall_with_depth(found: Found) -> Judgement:
    """Holds if weights range and layer number are negatively correlated in most networks."""
    correlations = {
        name: spearman(range(len(values)), values).figure
        for name, values in by_network(found, WEIGHTS, "weight_range").items()
    }
    test = more_often([(rho or 0) < 0 for rho in correlations.values()])
    told = ", ".join(f"{name} {rho:.2f}" for name, rho in correlations.items() if rho is not None)
    effect = f"rank correlation of range and depth: {told}; negative {test}"
    return conclusion((test.figure or 0) > 0.5, test, effect)


def first_layer_spikes(found: Found) -> Judgement:
    """Holds if in most networks the first layer has the largest folded range, above its unfolded.

    Binomial test against one convolution in nine, the number in the shortest network.
    """
    before = by_network(found, WEIGHTS, "weight_range")
    after = by_network(found, FOLDED, "folded_range")
    if not after:
        return Judgement(None, "", "no network was trained")
    cases = {
        name: values[0] == max(values) and values[0] > before[name][0]
        for name, values in after.items()
    }
    test = more_often(list(cases.values()), 1 / min(map(len, after.values())))
    told = ", ".join(
        f"{name} {before[name][0]:.3g} to {values[0]:.3g} (largest {max(values):.3g})"
        for name, values in after.items()
    )
    return conclusion((test.figure or 0) > 0.5, test, f"layer 1: {told}; so {test}")


def regular_ranges_smallest(found: Found) -> Judgement:
    """Holds if Regular Conv has the smallest median range of all, in each of the three kinds."""
    kinds = {"weight_range": WEIGHTS, "folded_range": FOLDED, "activation_range": ACTIVATIONS}
    told, so = [], []
    for column, artifact in kinds.items():
        medians = {name: median(v) for name, v in by_network(found, artifact, column).items()}
        own = medians.pop(REGULAR, None)
        if own is None or len(medians) < 2:
            return Judgement(None, "", f"needs {REGULAR} and two others")
        smallest = min(medians, key=lambda name: medians[name])
        so.append(own < medians[smallest])
        told.append(f"{column} {own:.3g}, smallest other {medians[smallest]:.3g} ({smallest})")
    return Judgement(all(so), f"medians over convolutions: {'; '.join(told)}")


def f2_precision(found: Found) -> Judgement:
    """Holds if f2 is less precise than f16 in layer 1, and more so over layers (Wilcoxon)."""
    values = by_network(found, FOLDED_PRECISION, "folded_precision")
    if missing := {F2, F16} - values.keys():
        return Judgement(None, "", f"not trained here: {', '.join(sorted(missing))}")
    f2, f16 = values[F2], values[F16]
    test = above_zero([a - b for a, b in zip(f2, f16, strict=True)])
    effect = (
        f"layer 1: f2 {f2[0]:.3g}, f16 {f16[0]:.3g}; mean {fmean(f2):.3g}, {fmean(f16):.3g}; "
        f"median of f2 - f16 {test}"
    )
    return conclusion(f2[0] < f16[0] and (test.figure or 0) > 0, test, effect)


def f2_activations(found: Found) -> Judgement:
    """Holds if f2 has smaller activation ranges than f16, layer by layer (Wilcoxon)."""
    values = by_network(found, ACTIVATIONS, "activation_range")
    if missing := {F2, F16} - values.keys():
        return Judgement(None, "", f"not trained here: {', '.join(sorted(missing))}")
    test = above_zero([b - a for a, b in zip(values[F2], values[F16], strict=True)])
    effect = (
        f"median range f2 {median(values[F2]):.3g}, f16 {median(values[F16]):.3g}; median of "
        f"f16 - f2 {test}"
    )
    return conclusion((test.figure or 0) > 0, test, effect)


def f16_early_layers(found: Found) -> Judgement:
    """Holds if f16's layers 1 to 5 have larger folded ranges and lower precision than the rest.

    Mann-Whitney, both; the larger p decides.
    """
    ranges = by_network(found, FOLDED, "folded_range").get(F16)
    precisions = by_network(found, FOLDED_PRECISION, "folded_precision").get(F16)
    if not ranges or not precisions:
        return Judgement(None, "", f"not trained here: {F16}")
    larger = greater(ranges[:EARLY], ranges[EARLY:])
    lower = greater(precisions[EARLY:], precisions[:EARLY])
    effect = (
        f"means of layers 1-{EARLY} and the rest: range {fmean(ranges[:EARLY]):.3g}, "
        f"{fmean(ranges[EARLY:]):.3g}, pairs above {larger}; average precision "
        f"{fmean(precisions[:EARLY]):.3g}, {fmean(precisions[EARLY:]):.3g}, pairs below {lower}"
    )
    so = min(larger.figure or 0, lower.figure or 0) > 0.5
    return conclusion(so, max(larger, lower, key=lambda test: test.p or 0), effect)


def factorization_spikes(found: Found) -> Judgement:
    """Holds if fewer MACs go with larger greatest folded range and lower mean precision.

    Rank correlations over the networks, both; the larger p decides.
    """
    macs = {row["network"]: row["full_width_mmacs"] for row in lived(found[TABLE])}
    ranges = by_network(found, FOLDED, "folded_range")
    precisions = by_network(found, FOLDED_PRECISION, "folded_precision")
    names = [name for name in macs if name in ranges and name in precisions]
    of_range = spearman([macs[n] for n in names], [max(ranges[n]) for n in names])
    of_precision = spearman([macs[n] for n in names], [fmean(precisions[n]) for n in names])
    effect = (
        f"rank correlation of MACs with greatest folded range {of_range}, with mean average "
        f"precision {of_precision}"
    )
    so = (of_range.figure or 0) < 0 < (of_precision.figure or 0)
    return conclusion(so, max(of_range, of_precision, key=lambda test: test.p or 0), effect)
