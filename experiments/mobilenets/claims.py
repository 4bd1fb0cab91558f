"""What Yun & Wong claim of their CIFAR-10 networks, each with the rule that decides it here.

Rules common to several statements: *families* is `judging.families`; p is that of the test named,
and a claim that is so with p > 0.05 counts as not told apart from chance. Networks whose training
failed are left out and named. The rules were set before the trainings at `reduced` were done.
"""

from experiments.evidence.claims import Claim
from experiments.mobilenets import judging, layer_judging
from experiments.mobilenets.judging import DEPTHWISE, TABLE

FAMILIES = (
    "Rule: both depthwise families' means exceed the Regular-ConvNets'; one-sided Mann-Whitney, "
    "p <= 0.05."
)
FIGURE_2, FIGURE_4, FIGURE_5, FIGURE_S1, FIGURE_S2, FIGURE_S3 = (
    f"mobilenets/figure_{number}" for number in ("2", "4", "5", "s1", "s2", "s3")
)
NEIGHBOURS = (
    "Rule: most such layers do, and more networks than by chance have a larger share of them than "
    "1/3; binomial, p <= 0.05."
)
MOVES = (
    "Rule: mean absolute difference of percent accuracy decrease over pairs that differ in nothing "
    "else, depthwise against regular; one-sided normal test with the draws' errors, p <= 0.05."
)
OUTPUT = {
    "percent_decrease": "lose a larger part of their accuracy in 8 bits",
    "qmse": "have a larger output QMSE",
    "qce": "have a larger output QCE (the entropy of the fp32 outputs plus QKL-Div)",
    "qkl_div": "have a larger output QKL-Div",
}

CLAIMS = (
    *(
        Claim(
            f"mobilenets/depthwise_{column}",
            f"Depthwise networks (DWS-ConvNets, MobileNets-V1) {what} than regular ones. "
            f"{FAMILIES}",
            "Yun & Wong, section 4 and Table 1",
            (TABLE,),
            judging.of_table(column),
            losses=TABLE if column == "percent_decrease" else None,
        )
        for column, what in OUTPUT.items()
    ),
    Claim(
        "mobilenets/draws_spread_accuracy",
        "Calibration draws alone spread uint8 accuracy, and that of depthwise networks more: "
        f"deviations over draws, in points. {FAMILIES}",
        "Yun & Wong, section 3 and the deviations of Table 1",
        (TABLE,),
        judging.of_table("uint8_accuracy_std"),
    ),
    Claim(
        "mobilenets/draws_move_ranges",
        "The choice of calibration images varies quantization parameters more than trivially. "
        "Rule: the deviation of activation ranges over draws exceeds a step of their grid in most "
        "layers of more networks than by chance; binomial, p <= 0.05.",
        "Yun & Wong, supplement Figure 2",
        (TABLE, FIGURE_S2),
        layer_judging.ranges_vary,
    ),
    Claim(
        "mobilenets/precision_dips",
        "Average precision of BN-folded weights drops at depthwise layers, below both neighbours. "
        f"{NEIGHBOURS}",
        "Yun & Wong, section 5 and Figure 5",
        (TABLE, FIGURE_5),
        layer_judging.at_neighbours(FIGURE_5, "folded_precision", -1, "depthwise", DEPTHWISE),
    ),
    Claim(
        "mobilenets/range_peaks",
        "The range of BN-folded weights peaks at depthwise layers, above both neighbours. "
        f"{NEIGHBOURS}",
        "Yun & Wong, section 5 and Figure 5",
        (TABLE, FIGURE_5),
        layer_judging.at_neighbours(FIGURE_5, "folded_range", 1, "depthwise", DEPTHWISE),
    ),
    Claim(
        "mobilenets/range_fluctuates",
        "Depthwise networks have strongly fluctuating ranges: mean step between neighbouring "
        f"layers' BN-folded ranges, in decades, against regular networks. {FAMILIES}",
        "Yun & Wong, section 5 and Figure 5",
        (TABLE, FIGURE_5),
        layer_judging.of_layers(FIGURE_5, layer_judging.fluctuation("folded_range", log=True)),
    ),
    Claim(
        "mobilenets/precision_fluctuates",
        "Depthwise networks have strongly fluctuating average precisions: mean step between "
        f"neighbouring layers' BN-folded weights, against regular networks. {FAMILIES}",
        "Yun & Wong, section 5 and Figure 5",
        (TABLE, FIGURE_5),
        layer_judging.of_layers(FIGURE_5, layer_judging.fluctuation("folded_precision", log=False)),
    ),
    Claim(
        "mobilenets/folding_aggravates",
        "Folding batch norms in aggravates the poor distributions of depthwise weights. Rule: "
        "average precision of depthwise layers falls, on average over a network's layers, in more "
        "networks than by chance; binomial, p <= 0.05.",
        "Yun & Wong, supplement A.1",
        (TABLE, FIGURE_S1, FIGURE_5),
        layer_judging.folding_lowers_precision,
    ),
    Claim(
        "mobilenets/qmse_accumulates",
        "Depthwise networks accumulate more QMSE: mean over layers, against regular networks. "
        f"{FAMILIES}",
        "Yun & Wong, section 5 and Figure 2",
        (TABLE, FIGURE_2),
        layer_judging.of_layers(FIGURE_2, layer_judging.mean_of("qmse")),
    ),
    Claim(
        "mobilenets/qkl_drops_late",
        "In DWS-ConvNets and Regular-ConvNets QCE peaks in later layers, where QKL-Div drops. "
        "Rule: the hidden layer of largest QCE is in the second half and its QKL-Div below the "
        "median of the hidden layers before it, in most networks and in more than the quarter that "
        "chance gives; binomial, p <= 0.05.",
        "Yun & Wong, section 5 and Figure 4",
        (TABLE, FIGURE_4),
        layer_judging.qkl_drops_at_qce_peak,
    ),
    Claim(
        "mobilenets/resnet_like_regular",
        "ResNet-34 quantizes like Regular-ConvNets. Rule: its means of percent accuracy decrease, "
        "output QMSE, QCE and QKL-Div are all nearer to theirs than to those of depthwise "
        "networks, and depthwise networks lose more accuracy; one-sided Mann-Whitney, p <= 0.05.",
        "Yun & Wong, section 4 and supplement A.2",
        (TABLE,),
        judging.resnet_like_regular,
        losses=TABLE,
    ),
    Claim(
        "mobilenets/projections_spike",
        "The weight ranges of ResNet-34 spike at its 1x1 projections (layers 10, 19, 32), above "
        "both neighbours. Rule: most of them do, and more than the third that chance gives; "
        "binomial, p <= 0.05.",
        "Yun & Wong, supplement Figure 3",
        (TABLE, FIGURE_S3),
        layer_judging.at_neighbours(
            FIGURE_S3, "weight_range", 1, "pointwise", ("ResNet34",), alone=True
        ),
    ),
    Claim(
        "mobilenets/initialization_moves",
        f"HeNorm or GlorotUni matters more to depthwise networks than to regular ones. {MOVES}",
        "Yun & Wong, section 4 and Table 1",
        (TABLE,),
        judging.moved_by("initializer", "batch_norm"),
        losses=TABLE,
    ),
    Claim(
        "mobilenets/gamma_moves",
        "Batch norm with or without gamma matters more to depthwise networks than to regular ones "
        f"(a question of the paper's, answered by its table alone). {MOVES}",
        "Yun & Wong, sections 1 and 3, Table 1",
        (TABLE,),
        judging.moved_by("batch_norm", "initializer"),
        losses=TABLE,
    ),
)
