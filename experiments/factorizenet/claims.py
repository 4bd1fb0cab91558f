"""What the thesis claims of its chapter 5 networks, each with the effect that decides it here.

Most of these claims are about networks by name: the interval needs to know what another training
seed makes of them. Claims about weights and activations are held against the same networks before
training.

Not judged, and why: that f2's first layer has a lower average precision than f16's (two numbers
of one training each).
"""

from functools import partial

from experiments.evidence import readings
from experiments.evidence.claims import claim
from experiments.factorizenet import samples
from experiments.factorizenet.samples import (
    ACTIVATIONS,
    CONTROLS,
    DWS,
    EARLY,
    F2,
    F16,
    FINIT2,
    FOLDED,
    FOLDED_PRECISION,
    GROUPED,
    REGULAR,
    SIMILAR,
    SMALL,
    TABLE,
    WEIGHTS,
)

_claim = partial(claim, prefix="factorizenet/", work="thesis", cited="Thesis", table=TABLE)


OTHERS = (*GROUPED, DWS)
CLAIMS = (
    *(
        _claim(
            f"finit2_as_accurate_{column.split('_')[0]}",
            f"Reverse pyramid finit2 (104 million MACs) has an accuracy similar to that of f2 (154 "
            f"million) in {column.split('_')[0]}: how far it is above a point below f2.",
            "5.5",
            (TABLE,),
            samples.accuracy({FINIT2: 1.0, F2: -1.0}, column, SIMILAR),
            "points",
            SIMILAR + gap,
            published=True,
        )
        for column, gap in (("fp32_accuracy", 86.01 - 86.54), ("uint8_accuracy", 80.31 - 80.05))
    ),
    _claim(
        "finit2_small_loss",
        "finit2 offers over 2.5 times fewer MACs than Regular Conv (104 against 266 million) with "
        "a very small reduction of fp32 accuracy: half of DWS Conv's reduction, less its own.",
        "5.5",
        (TABLE,),
        samples.accuracy({FINIT2: 1.0, REGULAR: SMALL - 1.0, DWS: -SMALL}, "fp32_accuracy", 0.0),
        "points",
        SMALL * (88.53 - 81.04) - (88.37 - 86.01),
        published=True,
    ),
    _claim(
        "f16_worst",
        "f16 loses most: points above the nearest other.",
        "5.5",
        (TABLE,),
        samples.place(F16, worst=True),
        "points",
        samples.published_gap(F16, worst=True),
        published=True,
        premise=samples.some_lose,
    ),
    _claim(
        "regular_most_robust",
        "Regular Conv is the most robust to quantization: points that it loses less than the "
        "nearest other.",
        "5.5",
        (TABLE,),
        samples.place(REGULAR, worst=False),
        "points",
        samples.published_gap(REGULAR, worst=False),
        published=True,
        premise=samples.some_lose,
    ),
    _claim(
        "dws_loses_less",
        "DWS Conv loses less than the networks with group convolutions: points that it loses less "
        "than the nearest.",
        "5.5",
        (TABLE,),
        samples.place(DWS, worst=False, without=(REGULAR,)),
        "points",
        samples.published_gap(DWS, worst=False, without=(REGULAR,)),
        published=True,
        premise=samples.some_lose,
    ),
    _claim(
        "dws_first_layer",
        "Folding increases the range of the first layer less in DWS Conv: decades that it adds in "
        "the networks with group convolutions, less those in DWS Conv.",
        "5.5",
        (TABLE, WEIGHTS, FOLDED),
        samples.one_against(DWS, GROUPED, samples.first_growth, WEIGHTS, FOLDED),
        "decades",
        0.1,
        controls=CONTROLS,
    ),
    _claim(
        "ranges_fall_with_depth",
        "Weights ranges get smaller deeper in the network: negative rank correlation with the "
        "layer's number, mean over the eight networks.",
        "Figure 5.6",
        (TABLE, WEIGHTS),
        samples.over_networks(samples.fall, WEIGHTS),
        "rank correlation",
        0.5,
        controls=CONTROLS,
    ),
    _claim(
        "first_layer_spikes",
        "The BN-folded range of the first convolution spikes: log10, less the mean of the others, "
        "mean over the eight networks.",
        "Figure 5.7",
        (TABLE, FOLDED),
        samples.over_networks(samples.first_spike, FOLDED),
        "decades",
        0.3,
        controls=CONTROLS,
    ),
    *(
        _claim(
            f"regular_{name}_smaller",
            f"Ranges of {shown} are smaller in Regular Conv: mean log10 over convolutions of the "
            "other networks, less its own.",
            f"5.5 and Figure {figure}",
            (TABLE, artifact),
            samples.one_against(REGULAR, OTHERS, readings.average(column, log=True), artifact),
            "decades",
            0.1,
            controls=CONTROLS,
        )
        for name, shown, figure, column, artifact in (
            ("weights", "weights", "5.6", "weight_range", WEIGHTS),
            ("folded_weights", "BN-folded weights", "5.7", "folded_range", FOLDED),
            ("activations", "activations", "5.8", "activation_range", ACTIVATIONS),
        )
    ),
    *(
        _claim(
            f"f16_early_{name}",
            f"f16 has {shown} of BN-folded weights in its early layers: layers 1 to {EARLY} "
            "against its other convolutions.",
            "5.5",
            (TABLE, artifact),
            samples.early_layers(artifact, column, log=log, sign=sign),
            unit,
            claimed,
            controls=CONTROLS,
        )
        for name, shown, artifact, column, log, sign, unit, claimed in (
            ("ranges", "large ranges", FOLDED, "folded_range", True, 1, "decades", 0.3),
            ("precisions", "a low average precision", FOLDED_PRECISION, "folded_precision", False,
             -1, "average precision", 0.05),
        )
    ),
    _claim(
        "f2_precise",
        "BN-folded weights of f2 have a higher average precision than f16's on average: "
        "difference, mean over convolutions.",
        "5.5",
        (TABLE, FOLDED_PRECISION),
        samples.f2_over_f16(FOLDED_PRECISION, "folded_precision", log=False, sign=1),
        "average precision",
        0.05,
        controls=CONTROLS,
    ),
    _claim(
        "f2_activations",
        "Activations of f2 have generally lower ranges than those of f16: log10 of f16's over "
        "f2's, mean over convolutions.",
        "5.5",
        (TABLE, ACTIVATIONS),
        samples.f2_over_f16(ACTIVATIONS, "activation_range", log=True, sign=-1),
        "decades",
        0.05,
        controls=CONTROLS,
    ),
    *(
        _claim(
            f"factorization_{name}",
            f"Increasing depth factorization leads to {shown}: rank correlation with MACs over the "
            "eight networks.",
            "6.2.5",
            (TABLE, artifact),
            samples.with_macs(value, artifact, sign),
            "rank correlation",
            0.5,
            controls=CONTROLS,
        )
        for name, shown, artifact, value, sign in (
            ("spikes", "greater spikes in ranges (largest BN-folded range)", FOLDED,
             lambda of: max(layer["folded_range"] for layer in of), -1),
            ("blurs", "worse average precision (mean over convolutions)", FOLDED_PRECISION,
             readings.average("folded_precision"), 1),
        )
    ),
)  # fmt: skip
