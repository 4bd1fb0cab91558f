"""Yun & Wong's claims about the ImageNet networks (section 6), with the effects that decide them.

They are about given networks: units are layers where a claim is about layers, and its control is
the same network before training; the interval of a loss holds images and draws. Of QMSE and
QKL-Div the interval holds draws.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from statistics import fmean
from typing import Any

from experiments.engine import imagenet
from experiments.evidence import readings
from experiments.evidence.claims import Found, Rows, UnfitRowsError, claim
from experiments.evidence.effects import Contrast, Group, Missing, Sample, Values, difference, mean
from experiments.evidence.named import OF_THESE, Weighted, measured
from experiments.evidence.readings import Layer
from experiments.mobilenets.samples import CONTROLS as CIFAR_CONTROLS
from experiments.mobilenets.samples import FIGURE_5
from experiments.mobilenets.samples import TABLE as CIFAR_TABLE

TABLE, LAYERS, CHANNELS, FOLDING = (
    f"mobilenets/{name}" for name in ("table_2", "figure_6", "figure_7", "figure_s8")
)
UNTRAINED = "mobilenets/imagenet_untrained"
CONTROLS: Mapping[str, str] = {**CIFAR_CONTROLS, **dict.fromkeys((CHANNELS, FOLDING), UNTRAINED)}
MOBILENET, VGG = (imagenet.SHOWN[arch] for arch in ("mobilenet_v1", "vgg19"))
COLLAPSED = 0.1
"""Of fp32 accuracy: what is below it has collapsed."""


def analyzed(rows: Rows, name: str) -> list[Mapping[str, Any]]:
    """The rows of a network that was analyzed.

    Raises:
        UnfitRowsError: there are none; the message says what became of it.
    """
    found = [r for r in rows if r["network"] == name and r["status"] in ("analyzed", "untrained")]
    if not found:
        told = {str(r["network"]): str(r["status"]) for r in rows if r["network"] == name}
        raise UnfitRowsError(f"{name}: {told.get(name, 'not analyzed')}")
    return found


def layers_of(found: Found, artifact: str, name: str) -> list[Layer]:
    """The numbered layers of a network, in their order."""
    rows = [row for row in analyzed(found[artifact], name) if row.get("number") is not None]
    return sorted(rows, key=lambda row: row["number"])


def by_number(values: Mapping[int, float]) -> Values:
    """Values of single layers as units."""
    return {(f"layer {number}", 0): value for number, value in values.items()}


def collapse(found: Found) -> Sample:
    """Points by which the loss exceeds nine tenths of the accuracy."""
    (row,) = analyzed(found[TABLE], MOBILENET)
    if row.get("loss") is None:
        raise UnfitRowsError("rows without loss, made before it was recorded")
    bound = (1 - COLLAPSED) * row["fp32_accuracy"]
    return measured(*(row[name] - bound for name in ("loss", "loss_low", "loss_high")))


def at_depthwise(column: str, *, log: bool, sign: int) -> Callable[[Found], Sample]:
    """How far MobileNet-V1's depthwise layers are above (sign 1) the mean of both neighbours."""

    def effect(found: Found) -> Sample:
        layers = layers_of(found, CHANNELS, MOBILENET)
        above = readings.margins(layers, column, "depthwise", log=log)
        return mean(by_number({n: sign * v for n, v in above.items()}), "depthwise layers")

    return effect


def folding(found: Found) -> Sample:
    """log10 of folded over unfolded range of depthwise layers."""
    shifts = {
        layer["number"]: math.log10(layer["folded_range"] / layer["weight_range"])
        for layer in layers_of(found, FOLDING, MOBILENET)
        if layer["kind"] == "depthwise"
    }
    return mean(by_number(shifts), "depthwise layers")


def beyond_cifar(value: Callable[[list[Layer]], float | None]) -> Callable[[Found], Sample]:
    """A value of the ImageNet network's layers, less that of the MobileNets on CIFAR-10."""

    def effect(found: Found) -> Sample:
        own = readings.each({(MOBILENET, 0): layers_of(found, CHANNELS, MOBILENET)}, value)
        small = readings.of_families(readings.layers_of(found, CIFAR_TABLE, FIGURE_5), "MobileNet")
        return Contrast((
            Group(1.0, MOBILENET, own), Group(-1.0, "MobileNet on CIFAR-10",
                                              readings.each(small, value)),
        ))  # fmt: skip

    return effect


def imprecision(of: list[Layer]) -> float | None:
    """1 less the mean average precision of depthwise layers."""
    found = [layer["folded_precision"] for layer in of if layer["kind"] == "depthwise"]
    return 1 - fmean(found) if found else None


def worse_than_vgg(column: str, *, log: bool) -> Callable[[Found], Sample]:
    """MobileNet-V1's figure of the output, less VGG-19's."""

    def effect(found: Found) -> Sample:
        rows = [row for name in (MOBILENET, VGG) for row in analyzed(found[TABLE], name)]
        values = readings.column(rows, column, log=log)
        errors = (
            readings.loss_errors(rows)
            if column == "loss"
            else readings.draw_errors(rows, column, log=log)
        )
        return Weighted({MOBILENET: 1.0, VGG: -1.0}, values, errors, OF_THESE)

    return effect


def layers_above_vgg(artifact: str, column: str) -> Callable[[Found], Sample]:
    """Mean log10 of a column over MobileNet-V1's layers, less VGG-19's."""

    def effect(found: Found) -> Sample:
        groups = [
            (f"layer of {name}", by_number({
                layer["number"]: math.log10(layer[column])
                for layer in layers_of(found, artifact, name)
                if layer[column] > 0
            }))
            for name in (MOBILENET, VGG)
        ]  # fmt: skip
        return difference(groups[0], groups[1], "layers")

    return effect


def dip_of_vgg(found: Found) -> Sample | Missing:
    """Average precision of the outer thirds of VGG-19's layers, less that of the middle third."""
    layers = layers_of(found, CHANNELS, VGG)
    third = len(layers) // 3
    numbered = {at: layer["folded_precision"] for at, layer in enumerate(layers)}
    outer = {at: v for at, v in numbered.items() if not third <= at < len(layers) - third}
    middle = {at: v for at, v in numbered.items() if at not in outer}
    return difference(
        ("outer layer", by_number(outer)), ("middle layer", by_number(middle)), "layers"
    )


_claim = partial(claim, prefix="mobilenets/imagenet_", work="yun_wong", cited="Yun & Wong")


CLAIMS = (
    _claim(
        "collapse",
        "MobileNet-V1 trained on ImageNet collapses in 8 bits: points by which the loss of top-1 "
        "accuracy exceeds nine tenths of it.",
        "section 6 and Table 2; Sheng et al., 70.5 -> 1.8 %",
        (TABLE,),
        collapse,
        "points",
        71.04 - 3.0 - (1 - COLLAPSED) * 71.04,
        published=True,
    ),
    _claim(
        "range_spikes",
        "Its BN-folded ranges spike at depthwise layers: log10, less the mean of both neighbours.",
        "section 6 and Figure 7",
        (CHANNELS,),
        at_depthwise("folded_range", log=True, sign=1),
        "decades",
        0.3,
        controls=CONTROLS,
    ),
    _claim(
        "precision_dips",
        "Average precision is low at its depthwise layers: mean of both neighbours less their own.",
        "section 6 and Figure 7",
        (CHANNELS,),
        at_depthwise("folded_precision", log=False, sign=-1),
        "average precision",
        0.05,
        controls=CONTROLS,
    ),
    _claim(
        "folding",
        "Folding makes the ranges of its depthwise weights larger: log10 of folded over unfolded.",
        "supplement A.1 and Figure 8",
        (FOLDING,),
        folding,
        "decades",
        0.3,
        controls=CONTROLS,
    ),
    _claim(
        "mismatch",
        "ImageNet aggravates the mismatch of channels against CIFAR-10: mean average precision of "
        "depthwise layers of the MobileNets on CIFAR-10, less its own.",
        "section 6",
        (CIFAR_TABLE, FIGURE_5, CHANNELS),
        beyond_cifar(imprecision),
        "average precision",
        0.05,
        controls=CONTROLS,
    ),
    _claim(
        "spikes_beyond_cifar",
        "ImageNet aggravates spikes of range against CIFAR-10: peak of depthwise layers above "
        "their neighbours, log10, less that of the MobileNets on CIFAR-10.",
        "section 6",
        (CIFAR_TABLE, FIGURE_5, CHANNELS),
        beyond_cifar(readings.margin("folded_range", "depthwise", log=True)),
        "decades",
        0.3,
        controls=CONTROLS,
    ),
    *(
        _claim(
            f"{column}_above_vgg",
            f"Its {shown} is larger than VGG-19's.",
            "section 6 and Table 2",
            (TABLE,),
            worse_than_vgg(column, log=log),
            unit,
            claimed,
            published=True,
        )
        for column, shown, log, unit, claimed in (
            ("loss", "loss of accuracy", False, "points", (71.04 - 3.0) - (71.0 - 64.9)),
            ("qmse", "output QMSE", True, "decades", math.log10(7.95e-4 / 9.70e-5)),
            ("qkl_div", "output QKL-Div", True, "decades", math.log10(6.47 / 0.433)),
        )
    ),
    _claim(
        "more_shift_than_vgg",
        "Its layerwise QKL-Div is higher than VGG-19's: mean log10 over layers.",
        "section 6 and Figure 6",
        (LAYERS,),
        layers_above_vgg(LAYERS, "qkl_div"),
        "decades",
        0.3,
    ),
    _claim(
        "ranges_above_vgg",
        "VGG-19's weight ranges are about an order of magnitude smaller: mean log10 over layers.",
        "section 6 and Figure 7",
        (CHANNELS,),
        layers_above_vgg(CHANNELS, "folded_range"),
        "decades",
        1.0,
        published=True,
    ),
    _claim(
        "vgg_dips_in_the_middle",
        "VGG-19's average precision drops near the middle: its outer thirds less the middle third.",
        "section 6 and supplement A.3",
        (CHANNELS,),
        dip_of_vgg,
        "average precision",
        0.05,
    ),
)
