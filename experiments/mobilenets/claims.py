"""What Yun & Wong claim of their CIFAR-10 networks, each with the effect that decides it here.

Depthwise networks are the DWS-ConvNets and the MobileNets-V1; units are networks, their seeds
averaged. Trainings that failed are left out and named. Every claim but those about losses of
accuracy is held against the same networks before training.

Not judged, and why: that depthwise networks have a larger output QCE (QCE is QKL-Div plus the
entropy of the fp32 outputs, which quantization has no part in: `depthwise_qkl_div` is what is left
of it); that calibration images vary quantization parameters non-trivially (any two samples of
images differ; what that costs is `draws_spread_accuracy`).
"""

from functools import partial

from experiments.evidence import readings
from experiments.evidence.claims import claim
from experiments.mobilenets import samples
from experiments.mobilenets.samples import (
    CONTROLS,
    DEPTHWISE,
    FIGURE_2,
    FIGURE_4,
    FIGURE_5,
    FIGURE_S1,
    FIGURE_S2,
    FIGURE_S3,
    FIGURE_S4,
    REGULAR,
    RESNET,
    TABLE,
)

_claim = partial(
    claim, prefix="mobilenets/", work="yun_wong", cited="Yun & Wong", controls=CONTROLS, table=TABLE
)


CONVNETS = (*REGULAR, *DEPTHWISE)
CLAIMS = (
    _claim(
        "depthwise_lose_more",
        "Depthwise networks lose more accuracy in 8 bits than regular ones: difference of mean "
        "losses, fp32 less uint8.",
        "section 4 and Table 1",
        (TABLE,),
        samples.of_table("loss"),
        "points",
        samples.depthwise_less_regular("loss"),
        published=True,
        controls={},
    ),
    *(
        _claim(
            f"depthwise_{column}",
            f"Depthwise networks have a larger output {shown} than regular ones.",
            "section 4 and Table 1",
            (TABLE,),
            samples.of_table(column, log=True),
            "decades",
            samples.depthwise_less_regular(column, log=True),
            published=True,
        )
        for column, shown in (("qmse", "QMSE"), ("qkl_div", "QKL-Div"))
    ),
    _claim(
        "draws_spread_accuracy",
        "Calibration draws spread the uint8 accuracy of depthwise networks more than that of "
        "regular ones: deviations over draws.",
        "section 3 and the deviations of Table 1",
        (TABLE,),
        samples.of_table("uint8_accuracy_std"),
        "points",
        samples.depthwise_less_regular("uint8_accuracy_std"),
        published=True,
        premise=samples.depthwise_lose,
    ),
    _claim(
        "precision_dips",
        "Average precision of BN-folded weights drops at depthwise layers: mean of both "
        "neighbours less their own.",
        "section 5 and Figure 5",
        (TABLE, FIGURE_5),
        samples.mean_of_layers(
            readings.margin("folded_precision", "depthwise", log=False, sign=-1),
            FIGURE_5,
            families=DEPTHWISE,
        ),
        "average precision",
        0.1,
    ),
    _claim(
        "range_peaks",
        "The range of BN-folded weights peaks at depthwise layers: log10, less the mean of both "
        "neighbours.",
        "section 5 and Figure 5",
        (TABLE, FIGURE_5),
        samples.mean_of_layers(
            readings.margin("folded_range", "depthwise", log=True), FIGURE_5, families=DEPTHWISE
        ),
        "decades",
        0.3,
    ),
    *(
        _claim(
            f"{name}_fluctuates",
            f"Depthwise networks have strongly fluctuating {shown} of BN-folded weights: mean step "
            "between neighbouring layers, less that of regular networks.",
            "section 5 and Figure 5",
            (TABLE, FIGURE_5),
            samples.of_layers(
                readings.fluctuation(f"folded_{name}", log=log), FIGURE_5, DEPTHWISE, REGULAR
            ),
            unit,
            claimed,
        )
        for name, shown, log, unit, claimed in (
            ("range", "ranges", True, "decades", 0.1),
            ("precision", "average precisions", False, "average precision", 0.05),
        )
    ),
    _claim(
        "folding_aggravates",
        "Folding batch norms in aggravates the poor distributions of depthwise weights: average "
        "precision of depthwise layers before less after.",
        "supplement A.1",
        (TABLE, FIGURE_S1, FIGURE_5),
        samples.mean_of_layers(samples.folding_drop, FIGURE_S1, FIGURE_5, families=DEPTHWISE),
        "average precision",
        0.05,
    ),
    _claim(
        "qmse_accumulates",
        "Depthwise networks accumulate more QMSE: mean of log10 over layers, less that of regular "
        "networks.",
        "section 5 and Figure 2",
        (TABLE, FIGURE_2),
        samples.of_layers(readings.average("qmse", log=True), FIGURE_2, DEPTHWISE, REGULAR),
        "decades",
        0.3,
    ),
    _claim(
        "qmse_outliers_degrade",
        "Networks whose layerwise QMSE is an outlier suffer the greatest degradation: rank "
        "correlation of the largest layerwise QMSE with the loss, over the twelve ConvNets.",
        "supplement A.1 and Figure 7",
        (TABLE, FIGURE_2),
        samples.outliers_degrade,
        "rank correlation",
        0.5,
        controls={},
        premise=samples.depthwise_lose,
    ),
    _claim(
        "qmse_recovers",
        "DWS-ConvNets recover to a lower QMSE at the output: log10 of the largest hidden layer's "
        "over the output's.",
        "section 5",
        (TABLE, FIGURE_2),
        samples.mean_of_layers(samples.recovery, FIGURE_2, families=("DWS",)),
        "decades",
        0.3,
    ),
    _claim(
        "qce_peaks_late",
        "In DWS-ConvNets and Regular-ConvNets QCE peaks in later layers: place of the hidden layer "
        "of largest QCE, from -0.5 (first) to 0.5 (last).",
        "section 5 and Figure 4",
        (TABLE, FIGURE_4),
        samples.mean_of_layers(samples.lateness, FIGURE_4, families=("Regular", "DWS")),
        "of the depth",
        0.25,
    ),
    _claim(
        "qkl_drops_at_qce_peak",
        "Where their QCE peaks, QKL-Div drops: log10 of the other hidden layers' median over that "
        "layer's.",
        "section 5 and Figure 4",
        (TABLE, FIGURE_4),
        samples.mean_of_layers(samples.drop_at_peak, FIGURE_4, families=("Regular", "DWS")),
        "decades",
        0.1,
    ),
    _claim(
        "activations_follow_weights",
        "Activations follow very similar trends to BN-folded weights: rank correlation of their "
        "ranges over the layers of a network, mean over the twelve ConvNets.",
        "section 5 and supplement A.1",
        (TABLE, FIGURE_5, FIGURE_S2),
        samples.mean_of_layers(samples.likeness, FIGURE_5, FIGURE_S2, families=CONVNETS),
        "rank correlation",
        0.5,
    ),
    _claim(
        "resnet_like_regular",
        "ResNet-34 quantizes like Regular-ConvNets: its mean loss is below the middle between "
        "theirs and that of depthwise networks.",
        "section 4 and supplement A.2",
        (TABLE,),
        samples.resnet_like_regular,
        "points",
        samples.published_middle(),
        published=True,
        controls={},
        premise=samples.depthwise_lose,
    ),
    _claim(
        "projections_spike",
        "The weight ranges of ResNet-34 spike at its 1x1 projections: log10, less the mean of both "
        "neighbours.",
        "supplement Figure 3",
        (TABLE, FIGURE_S3),
        samples.mean_of_layers(
            readings.margin("weight_range", "pointwise", log=True), FIGURE_S3, families=RESNET
        ),
        "decades",
        0.1,
    ),
    _claim(
        "resnet_compact_ranges",
        "ResNet-34 learns compact weights: mean log10 of BN-folded ranges of regular networks, "
        "less its own.",
        "supplement A.2",
        (TABLE, FIGURE_5, FIGURE_S4),
        samples.of_layers(
            readings.average("folded_range", log=True), FIGURE_5, REGULAR, RESNET, FIGURE_S4
        ),
        "decades",
        0.1,
    ),
    _claim(
        "resnet_precision_fluctuates",
        "Skip connections lead to more fluctuating average precision: mean step between "
        "neighbouring layers of ResNet-34, less that of regular networks.",
        "supplement A.2",
        (TABLE, FIGURE_S4, FIGURE_5),
        samples.of_layers(
            readings.fluctuation("folded_precision", log=False),
            FIGURE_S4,
            RESNET,
            REGULAR,
            FIGURE_5,
        ),
        "average precision",
        0.05,
    ),
    *(
        _claim(
            f"{name}_moves",
            f"{shown} matters more to depthwise networks than to regular ones: mean squared "
            "difference of the losses of pairs that differ in nothing else, less what images, "
            "draws and seeds make of it.",
            source,
            (TABLE,),
            samples.moves(factor),
            "squared points",
            samples.published_moves(factor),
            published=True,
            controls={},
            premise=samples.depthwise_lose,
        )
        for name, shown, source, factor in (
            ("initialization", "HeNorm or GlorotUni", "section 4 and Table 1", "initializer"),
            (
                "gamma",
                "Batch norm with or without gamma (a question of the paper's)",
                "sections 1 and 3, Table 1",
                "batch_norm",
            ),
        )
    ),
)
