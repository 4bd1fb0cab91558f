"""Sheng et al.'s claims, with the rules that decide them here."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from experiments.engine.networks import STAGE_NAMES
from experiments.evidence.absent import of_network, untested
from experiments.evidence.claims import Claim, Judgement, Rows
from experiments.evidence.drawtests import above, loses, loss
from experiments.evidence.ranktests import LEVEL, Test, greater
from experiments.mobilenets.judging import conclusion

FIRST_POINTWISE = 3
"""Number of MobileNet-V1's first pointwise layer."""
ONE_SEED = "one training seed for each network; the test is over calibration draws"


def zero_variance(found: Mapping[str, Rows]) -> Judgement:
    """See the claim's statement."""
    rows = found["quantization_friendly/zero_variance"]
    by = {row["handling"]: row for row in of_network(rows, "mobilenet_v1")}
    if not {"as it is", "zero-variance handling"} <= set(by):
        return untested(rows)
    before, after = by["as it is"], by["zero-variance handling"]
    gain = above(after, before, "uint8_accuracy")
    share = (gain.figure or 0.0) / loss(before)["loss"]
    effect = (
        f"top-1 {_accuracy(before)} -> {_accuracy(after)} % (published 1.8 -> about 50), fp32 "
        f"{before['fp32_accuracy']:.1f} %: {share:.0%} of what 8 bits take; gain {gain}"
    )
    return conclusion(share >= 0.5, gain, effect)


def relu_sqnr(found: Mapping[str, Rows]) -> Judgement:
    """See the claim's statement."""
    rows = found["quantization_friendly/sqnr"]
    first = [r for r in of_network(rows, "mobilenet_v1") if r["number"] == FIRST_POINTWISE]
    by = {(row["handling"], row["activation"]): row for row in first}
    if not {("as it is", "ReLU"), ("as it is", "ReLU6")} <= set(by):
        return untested(rows)
    told: list[str] = []
    for handling in dict.fromkeys(handling for handling, _ in by):
        with_relu, with_relu6 = by.get((handling, "ReLU")), by.get((handling, "ReLU6"))
        if with_relu and with_relu6:
            told.append(
                f"{handling}: {with_relu6['sqnr_db']:.2f} -> {with_relu['sqnr_db']:.2f} dB, "
                f"difference {above(with_relu, with_relu6, 'sqnr_db')}"
            )
    test = above(by["as it is", "ReLU"], by["as it is", "ReLU6"], "sqnr_db")
    note = "ReLU6 is replaced without retraining"
    return conclusion((test.figure or 0.0) > 0, test, "; ".join(told), note)


def alpha_spread(found: Mapping[str, Rows]) -> Judgement:
    """See the claim's statement."""
    rows = found["quantization_friendly/alpha"]
    channels = of_network(rows, "mobilenet_v1")
    if not channels:
        return untested(rows)
    spreads: dict[bool, list[float]] = {True: [], False: []}
    for number in dict.fromkeys(row["number"] for row in channels):
        own = [row for row in channels if row["number"] == number]
        sizes = [abs(row["alpha"]) for row in own]
        decades = math.log10(max(sizes) / median(sizes))
        spreads[any(row["zero_variance"] for row in own)].append(decades)
    if not all(spreads.values()):
        return Judgement(None, "", "all depthwise layers have zero-variance channels, or none has")
    test = greater(spreads[True], spreads[False])
    effect = (
        f"median decades of max / median |alpha|: {median(spreads[True]):.2f} in "
        f"{len(spreads[True])} layers with zero-variance channels, {median(spreads[False]):.2f} in "
        f"{len(spreads[False])} without; pairs above {test}"
    )
    return conclusion(median(spreads[True]) >= 1.0 and (test.figure or 0.0) > 0.5, test, effect)


def depthwise_batch_norm(found: Mapping[str, Rows]) -> Judgement:
    """See the claim's statement."""
    by = _stages(found)
    if not {"original", "no_depthwise_bn_relu6"} <= set(by):
        return _untrained(found)
    original = loses(by["original"])
    if original.p is None or original.p > LEVEL:
        note = "the original's loss cannot be told from 0: nothing to bring back"
        return Judgement(None, f"the original loses {original} points", note)
    test = above(loss(by["original"]), loss(by["no_depthwise_bn_relu6"]), "loss")
    so = (test.figure or 0.0) >= 0.5 * (original.figure or 0.0)
    return conclusion(so, test, _told(by, ("original", "no_depthwise_bn_relu6"), test), ONE_SEED)


def relu_retrained(found: Mapping[str, Rows]) -> Judgement:
    """See the claim's statement."""
    return _loses_less(found, "no_depthwise_bn_relu6", "relu")


def l2_retrained(found: Mapping[str, Rows]) -> Judgement:
    """See the claim's statement."""
    return _loses_less(found, "relu", "depthwise_l2")


def _loses_less(found: Mapping[str, Rows], before: str, after: str) -> Judgement:
    by = _stages(found)
    if not {before, after} <= set(by):
        return _untrained(found)
    test = above(loss(by[before]), loss(by[after]), "loss")
    told = _told(by, (before, after), test)
    return conclusion((test.figure or 0.0) > 0, test, told, ONE_SEED)


def _stages(found: Mapping[str, Rows]) -> dict[str, Mapping[str, Any]]:
    """Rows of the networks that were trained, by stage."""
    rows = {row["network"]: row for row in found["quantization_friendly/retrained"]}
    return {
        stage: rows[name]
        for stage, name in STAGE_NAMES.items()
        if name in rows and rows[name]["status"] == "finished"
    }


def _untrained(found: Mapping[str, Rows]) -> Judgement:
    rows = found["quantization_friendly/retrained"]
    told = ", ".join(f"{row['network']} ({row['status']})" for row in rows)
    return Judgement(None, "", f"needs two trained stages; there are: {told}")


def _told(by: Mapping[str, Mapping[str, Any]], stages: Sequence[str], test: Test) -> str:
    each = "; ".join(
        f"{STAGE_NAMES[s]}: {by[s]['fp32_accuracy']:.1f} -> {_accuracy(by[s])} %" for s in stages
    )
    return f"{each}; points lost less {test}"


def _accuracy(row: Mapping[str, Any]) -> str:
    std = row["uint8_accuracy_std"]
    return f"{row['uint8_accuracy']:.1f}" + ("" if std is None else f" ± {std:.1f}")


OVER_DRAWS = "(Welch's one-sided test over calibration draws, p <= 0.05)"
CLAIMS = (
    Claim(
        "quantization_friendly/zero_variance",
        "Handling zero variance properly recovers most of the 8-bit accuracy of the ImageNet "
        "MobileNet without retraining. Rule: it gives back at least half of the points that 8 bits "
        f"take, and the gain is above 0 {OVER_DRAWS}.",
        "Sheng et al., Quantization Loss Analysis, option 1",
        ("quantization_friendly/zero_variance",),
        zero_variance,
    ),
    Claim(
        "quantization_friendly/alpha",
        "A zero-variance channel makes alpha = gamma / sigma spread by decades. Rule: log10(max / "
        "median |alpha|) is larger in depthwise layers that have such a channel (Mann-Whitney, "
        "p <= 0.05), and at least 1 in their median.",
        "Sheng et al., Quantization Loss Analysis",
        ("quantization_friendly/alpha",),
        alpha_spread,
    ),
    Claim(
        "quantization_friendly/relu_sqnr",
        "ReLU instead of ReLU6 raises SQNR in the first pointwise layer. Rule: the mean SQNR of "
        f"layer 3 is higher with ReLU, in the network as it is {OVER_DRAWS}.",
        "Sheng et al., ReLU6, a troublemaker?",
        ("quantization_friendly/sqnr",),
        relu_sqnr,
    ),
    Claim(
        "quantization_friendly/depthwise_batch_norm",
        "Removing batch norm and ReLU6 from depthwise layers and retraining brings most of the "
        "8-bit accuracy back. Rule: 8 bits take at most half the points that they take from the "
        f"original, and fewer {OVER_DRAWS}; not tested where the original loses nothing.",
        "Sheng et al., Quantization Loss Analysis, option 2, and Experimental Results",
        ("quantization_friendly/retrained",),
        depthwise_batch_norm,
    ),
    Claim(
        "quantization_friendly/relu_retrained",
        "Replacing ReLU6 by ReLU on top and retraining helps further. Rule: 8 bits take fewer "
        f"points {OVER_DRAWS}.",
        "Sheng et al., Experimental Results",
        ("quantization_friendly/retrained",),
        relu_retrained,
    ),
    Claim(
        "quantization_friendly/depthwise_l2",
        "L2 on depthwise weights on top helps further. Rule: 8 bits take fewer points "
        f"{OVER_DRAWS}.",
        "Sheng et al., Experimental Results",
        ("quantization_friendly/retrained",),
        l2_retrained,
    ),
)
