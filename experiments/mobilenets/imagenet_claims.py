"""Yun & Wong's claims about the ImageNet networks (section 6), with the rules that decide them."""

import math
from collections.abc import Mapping
from typing import Any

from experiments.evidence.absent import of_network, untested
from experiments.evidence.claims import Claim, Judgement, Rows
from experiments.evidence.drawtests import above
from experiments.evidence.ranktests import Test, above_zero, greater
from experiments.mobilenets.judging import conclusion

OUTPUT_ERRORS = ("percent_decrease", "qmse", "qce", "qkl_div")


def collapse(found: Mapping[str, Rows]) -> Judgement:
    """See the claim's statement."""
    rows = of_network(found["mobilenets/table_2"], "mobilenet_v1")
    if not rows:
        return untested(found["mobilenets/table_2"])
    (row,) = rows
    mean, std = row["uint8_accuracy"], row["uint8_accuracy_std"] or 0.0
    effect = (
        f"fp32 {row['fp32_accuracy']:.1f} %, uint8 {mean:.2f} ± {std:.2g} % over {row['draws']} "
        f"draws (published {row['published_fp32_accuracy']:.1f}, "
        f"{row['published_uint8_accuracy']:.2f} ± {row['published_uint8_accuracy_std']:.2g})"
    )
    return Judgement(mean + 2 * std < row["fp32_accuracy"] / 10, effect)


def spikes(found: Mapping[str, Rows]) -> Judgement:
    """See the claim's statement."""
    rows = found["mobilenets/figure_7"]
    layers = {row["number"]: row for row in of_network(rows, "mobilenet_v1")}
    ratios, dips = [], []
    for number, layer in layers.items():
        beside = [layers[n] for n in (number - 1, number + 1) if n in layers]
        if layer["kind"] != "depthwise" or len(beside) < 2:
            continue
        a, b = (_log_range(one) for one in beside)
        ratios.append(_log_range(layer) - (a + b) / 2)
        dips.append(sum(one["folded_precision"] for one in beside) / 2 - layer["folded_precision"])
    if not ratios:
        return untested(rows)
    spike, dip = above_zero(ratios), above_zero(dips)
    highest = max(layers.values(), key=lambda row: row["folded_range"])
    effect = (
        f"median log10(range / neighbours') {spike}; median neighbours' precision less own {dip}; "
        f"largest range {highest['folded_range']:.3g} at layer {highest['number']} "
        f"({highest['kind']})"
    )
    return _both(spike, dip, effect)


def folding(found: Mapping[str, Rows]) -> Judgement:
    """See the claim's statement."""
    rows = found["mobilenets/figure_s8"]
    layers = [r for r in of_network(rows, "mobilenet_v1") if r["kind"] == "depthwise"]
    if not layers:
        return untested(rows)
    shifts = [math.log10(r["folded_range"] / r["weight_range"]) for r in layers]
    test = above_zero(shifts)
    effect = f"median log10(folded / unfolded range) of depthwise layers {test}"
    return conclusion((test.figure or 0.0) > 0, test, f"{effect}; largest {max(shifts):.2f}")


def worse_than_vgg(found: Mapping[str, Rows]) -> Judgement:
    """See the claim's statement."""
    rows = found["mobilenets/table_2"]
    mobilenet, vgg = (of_network(rows, arch) for arch in ("mobilenet_v1", "vgg19"))
    if not (mobilenet and vgg):
        return untested(rows)
    tests = {name: above(mobilenet[0], vgg[0], name) for name in OUTPUT_ERRORS}
    weakest = max(tests.values(), key=lambda test: 1.0 if test.p is None else test.p)
    so = all((test.figure or 0.0) > 0 for test in tests.values())
    return conclusion(so, weakest, "; ".join(f"{name} {test}" for name, test in tests.items()))


def more_shift_than_vgg(found: Mapping[str, Rows]) -> Judgement:
    """See the claim's statement."""
    rows = found["mobilenets/figure_6"]
    mobilenet, vgg = (
        [row["qkl_div"] for row in of_network(rows, arch)] for arch in ("mobilenet_v1", "vgg19")
    )
    if not (mobilenet and vgg):
        return untested(rows)
    test = greater(mobilenet, vgg)
    return conclusion((test.figure or 0.0) > 0.5, test, f"pairs of layers above {test}")


def _log_range(row: Mapping[str, Any]) -> float:
    return math.log10(row["folded_range"])


def _both(first: Test, second: Test, effect: str) -> Judgement:
    so = (first.figure or 0.0) > 0 and (second.figure or 0.0) > 0
    weaker = max((first, second), key=lambda test: 1.0 if test.p is None else test.p)
    return conclusion(so, weaker, effect)


CLAIMS = (
    Claim(
        "mobilenets/imagenet_collapse",
        "MobileNet-V1 trained on ImageNet collapses in 8 bits. Rule: top-1 in uint8, mean plus two "
        "deviations over draws, is below a tenth of that in fp32.",
        "Yun & Wong, section 6 and Table 2; Sheng et al., 70.5 -> 1.8 %",
        ("mobilenets/table_2",),
        collapse,
    ),
    Claim(
        "mobilenets/imagenet_spikes",
        "Its BN-folded ranges spike at depthwise layers, with low average precision. Rule: against "
        "the mean of the layer before and the layer after, log range is higher and average "
        "precision lower at depthwise layers (Wilcoxon, p <= 0.05 each).",
        "Yun & Wong, section 6 and Figure 7",
        ("mobilenets/figure_7",),
        spikes,
    ),
    Claim(
        "mobilenets/imagenet_folding",
        "Folding makes the ranges of its depthwise weights larger. Rule: log10(folded / unfolded "
        "range) of depthwise layers is above 0 (Wilcoxon, p <= 0.05).",
        "Yun & Wong, supplement A.1 and Figure 8",
        ("mobilenets/figure_s8",),
        folding,
    ),
    Claim(
        "mobilenets/imagenet_worse_than_vgg",
        "It loses more than VGG-19 does: percent decrease, output QMSE, QCE and QKL-Div are all "
        "larger. Rule: each is (Welch's one-sided test over calibration draws, p <= 0.05).",
        "Yun & Wong, section 6 and Table 2",
        ("mobilenets/table_2",),
        worse_than_vgg,
    ),
    Claim(
        "mobilenets/imagenet_more_shift_than_vgg",
        "Its layerwise QKL-Div is higher than VGG-19's. Rule: of pairs of layers more than half "
        "are so (Mann-Whitney, p <= 0.05).",
        "Yun & Wong, section 6 and Figure 6",
        ("mobilenets/figure_6",),
        more_shift_than_vgg,
    ),
)
