"""Sheng et al.'s claims, with the effects that decide them here.

Claims about the given ImageNet network hold images and calibration draws in their intervals;
retrained stages need to know what another training seed makes of them.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median

from experiments.engine import imagenet
from experiments.engine.networks import STAGE_NAMES
from experiments.evidence import readings
from experiments.evidence.claims import Claim, Found, UnfitRowsError, claim
from experiments.evidence.effects import Missing, Sample, difference
from experiments.evidence.named import OF_THESE, Seeds, Weighted
from experiments.mobilenets.imagenet_claims import analyzed
from experiments.quantization_friendly.retrained import PUBLISHED

HANDLED, ALPHA, SQNR, RETRAINED = (
    f"quantization_friendly/{name}" for name in ("zero_variance", "alpha", "sqnr", "retrained")
)
NETWORK = imagenet.SHOWN["mobilenet_v1"]
FIRST_POINTWISE = 3
"""Number of MobileNet-V1's first pointwise layer."""
AS_IT_IS, HANDLING = "as it is", "zero-variance handling"
ORIGINAL, WITHOUT, RELU, L2 = (
    STAGE_NAMES[stage] for stage in ("original", "no_depthwise_bn_relu6", "relu", "depthwise_l2")
)
CLOSE = 0.1
"""Share of the original's loss: what loses no more is close to float."""


def zero_variance(found: Found) -> Sample:
    """Half of the loss less what is left of it after handling."""
    rows = [{**row, "network": row["handling"]} for row in analyzed(found[HANDLED], NETWORK)]
    values, errors = readings.losses(rows), readings.loss_errors(rows)
    return Weighted({AS_IT_IS: 0.5, HANDLING: -1.0}, values, errors, OF_THESE)


def decibels(terms: Mapping[tuple[str, int], float]) -> Callable[[Found], Sample]:
    """Weighted SQNR of layers of the network as it is, by activation and number."""

    def effect(found: Found) -> Sample:
        rows = [
            {**row, "network": f"{row['activation']} layer {row['number']}"}
            for row in analyzed(found[SQNR], NETWORK)
            if row["handling"] == AS_IT_IS and row.get("number") is not None
        ]
        values = readings.column(rows, "sqnr_db")
        errors = readings.draw_errors(rows, "sqnr_db")
        named = {f"{kind} layer {number}": weight for (kind, number), weight in terms.items()}
        return Weighted(named, values, errors, OF_THESE, of="layers")

    return effect


def alpha_spread(found: Found) -> Sample:
    """Decades from median to largest |alpha|: layers with zero-variance channels less others."""
    spreads: dict[bool, dict[tuple[str, int], float]] = {True: {}, False: {}}
    channels = analyzed(found[ALPHA], NETWORK)
    for number in dict.fromkeys(row["number"] for row in channels):
        own = [row for row in channels if row["number"] == number]
        sizes = [abs(row["alpha"]) for row in own]
        if median(sizes) > 0:
            decades = math.log10(max(sizes) / median(sizes))
            spreads[any(row["zero_variance"] for row in own)][f"layer {number}", 0] = decades
    return difference(
        ("layer with a zero-variance channel", spreads[True]),
        ("layer without", spreads[False]),
        "layers",
    )


def stages(terms: Mapping[str, float]) -> Callable[[Found], Sample | Missing]:
    """Weighted losses of retrained stages."""

    def effect(found: Found) -> Sample | Missing:
        rows = [row for row in found[RETRAINED] if row["status"] == "finished"]
        if len(rows) < 2:
            told = ", ".join(f"{row['network']} ({row['status']})" for row in found[RETRAINED])
            raise UnfitRowsError(f"needs two trained stages; there are: {told}")
        values, errors = readings.losses(rows), readings.loss_errors(rows)
        return Weighted(terms, values, errors, Seeds.among(values))

    return effect


def published(terms: Mapping[str, float]) -> float:
    """The same of the slides."""
    return sum(w * (PUBLISHED[name][0] - PUBLISHED[name][1]) for name, w in terms.items())


_claim = partial(
    claim, prefix="quantization_friendly/", work="sheng", cited="Sheng et al.", published=True
)


def _stage(name: str, statement: str, terms: Mapping[str, float]) -> Claim:
    return _claim(
        name, statement, "Experimental Results", (RETRAINED,), stages(terms), "points",
        published(terms), premise=stages({ORIGINAL: 1.0}), table=RETRAINED,
    )  # fmt: skip


CLAIMS = (
    _claim(
        "zero_variance",
        "Handling zero variance properly recovers most of the 8-bit accuracy of the ImageNet "
        "MobileNet without retraining: half of the loss, less what is left of it.",
        "Quantization Loss Analysis, option 1",
        (HANDLED,),
        zero_variance,
        "points",
        (70.5 - 1.8) / 2 - (70.5 - 50.0),
        table=HANDLED,
    ),
    _claim(
        "alpha",
        "A zero-variance channel makes alpha = gamma / sigma spread: decades from median to "
        "largest |alpha| of depthwise layers that have one, less those of the others.",
        "Quantization Loss Analysis",
        (ALPHA,),
        alpha_spread,
        "decades",
        1.0,
        published=False,
        table=ALPHA,
    ),
    _claim(
        "relu_sqnr",
        "ReLU instead of ReLU6 raises SQNR in the first pointwise layer (here without retraining).",
        "ReLU6, a troublemaker?",
        (SQNR,),
        decibels({("ReLU", FIRST_POINTWISE): 1.0, ("ReLU6", FIRST_POINTWISE): -1.0}),
        "dB",
        3.0,
        published=False,
        table=SQNR,
    ),
    _claim(
        "sqnr_drops_at_first_pointwise",
        "With ReLU6 SQNR drops hugely in the first pointwise layer: mean of both neighbours less "
        "its own.",
        "ReLU6, a troublemaker?",
        (SQNR,),
        decibels({
            ("ReLU6", FIRST_POINTWISE - 1): 0.5,
            ("ReLU6", FIRST_POINTWISE + 1): 0.5,
            ("ReLU6", FIRST_POINTWISE): -1.0,
        }),
        "dB",
        3.0,
        published=False,
        table=SQNR,
    ),
    _stage(
        "depthwise_batch_norm",
        "Removing batch norm and ReLU6 from depthwise layers and retraining brings most of the "
        "8-bit accuracy back: half of the original's loss, less the stage's.",
        {ORIGINAL: 0.5, WITHOUT: -1.0},
    ),
    _stage(
        "relu_retrained",
        "Replacing ReLU6 by ReLU on top and retraining helps further: loss before less after.",
        {WITHOUT: 1.0, RELU: -1.0},
    ),
    _stage(
        "depthwise_l2",
        "L2 on depthwise weights on top helps further: loss before less after.",
        {RELU: 1.0, L2: -1.0},
    ),
    _stage(
        "close_to_float",
        "In the end 8 bits perform very close to float: a tenth of the original's loss, less the "
        "last stage's.",
        {ORIGINAL: CLOSE, L2: -1.0},
    ),
)  # fmt: skip
