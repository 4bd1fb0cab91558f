"""What the thesis claims of its chapter 5 networks, each with the rule that decides it here.

A claim that is so with p > 0.05 counts as not told apart from chance. "Loses" means percent
accuracy decrease, the mean over calibration draws; networks whose training failed are left out. The
rules were set before the trainings at `reduced` were analyzed.
"""

from experiments.evidence.claims import Claim
from experiments.factorizenet import judging
from experiments.factorizenet.judging import (
    ACTIVATIONS,
    DWS,
    F16,
    FOLDED,
    FOLDED_PRECISION,
    REGULAR,
    TABLE,
    WEIGHTS,
)

CLAIMS = (
    Claim(
        "factorizenet/finit2_equal_for_less",
        "Reverse pyramid finit2 has fewer MACs than f2 and similar accuracy. Rule: fewer MACs at "
        "full width, and neither its fp32 nor its uint8 accuracy is below f2's by more than 1.96 "
        "standard errors of test set and calibration draws.",
        "Thesis, 5.5",
        (TABLE,),
        judging.equal_for_less,
    ),
    Claim(
        "factorizenet/finit2_small_loss",
        "finit2 offers over 2.5 times fewer MACs than Regular Conv with a very small reduction of "
        "fp32 accuracy. Rule: at full width, and no more than the published 2.36 points.",
        "Thesis, 5.5",
        (TABLE,),
        judging.small_loss_for_far_less,
    ),
    Claim(
        "factorizenet/f16_worst",
        "f16 loses most. Rule: it does, of all that train.",
        "Thesis, 5.5",
        (TABLE,),
        judging.standing(F16, largest=True),
        losses=TABLE,
    ),
    Claim(
        "factorizenet/regular_most_robust",
        "Regular Conv is the most robust to quantization. Rule: it loses least of all that train.",
        "Thesis, 5.5",
        (TABLE,),
        judging.standing(REGULAR, largest=False),
        losses=TABLE,
    ),
    Claim(
        "factorizenet/dws_loses_less",
        "DWS Conv loses less than the networks with group convolutions. Rule: less than each.",
        "Thesis, 5.5",
        (TABLE,),
        judging.standing(DWS, largest=False, without=(REGULAR,)),
        losses=TABLE,
    ),
    Claim(
        "factorizenet/dws_first_layer",
        "Folding batch norm increases the range of the first layer least in DWS Conv. Rule: "
        "ratio of folded to unfolded range of layer 1, against each network with group "
        "convolutions.",
        "Thesis, 5.5",
        (TABLE, WEIGHTS, FOLDED),
        judging.first_layer_grows_least_in_dws,
    ),
    Claim(
        "factorizenet/ranges_fall_with_depth",
        "Weights ranges get smaller deeper in the network. Rule: negative rank correlation with "
        "the layer number over convolutions in most networks; binomial, p <= 0.05.",
        "Thesis, Figure 5.6",
        (TABLE, WEIGHTS),
        judging.ranges_fall_with_depth,
    ),
    Claim(
        "factorizenet/first_layer_spikes",
        "Folding makes the first convolution's range spike. Rule: in most networks it grows and "
        "is the largest of all convolutions' folded ranges; binomial, p <= 0.05.",
        "Thesis, Figure 5.7",
        (TABLE, WEIGHTS, FOLDED),
        judging.first_layer_spikes,
    ),
    Claim(
        "factorizenet/regular_ranges_smallest",
        "Ranges of weights, BN-folded weights and activations are smaller in Regular Conv. Rule: "
        "its median over convolutions is the smallest of all networks', in all three.",
        "Thesis, 5.5 and Figures 5.6 to 5.8",
        (TABLE, WEIGHTS, FOLDED, ACTIVATIONS),
        judging.regular_ranges_smallest,
    ),
    Claim(
        "factorizenet/f16_early_layers",
        "f16 combines large ranges and low average precision of BN-folded weights in its early "
        "layers. Rule: layers 1 to 5 against its other convolutions; Mann-Whitney, p <= 0.05, in "
        "both.",
        "Thesis, 5.5",
        (TABLE, FOLDED, FOLDED_PRECISION),
        judging.f16_early_layers,
    ),
    Claim(
        "factorizenet/f2_precision",
        "BN-folded weights of f2 have a lower average precision than f16's in the first layer and "
        "a higher one on average. Rule: layer 1; Wilcoxon over convolutions, p <= 0.05.",
        "Thesis, 5.5",
        (TABLE, FOLDED_PRECISION),
        judging.f2_precision,
    ),
    Claim(
        "factorizenet/f2_activations",
        "Activations of f2 have generally lower ranges than those of f16. Rule: Wilcoxon over "
        "convolutions, p <= 0.05.",
        "Thesis, 5.5",
        (TABLE, ACTIVATIONS),
        judging.f2_activations,
    ),
    Claim(
        "factorizenet/factorization_spikes",
        "Increasing factorization leads to greater spikes in weights ranges and worse average "
        "precision. Rule: over the networks MACs correlate negatively with the greatest BN-folded "
        "range and positively with the mean average precision; Spearman, p <= 0.05, both.",
        "Thesis, 6.2.5",
        (TABLE, FOLDED, FOLDED_PRECISION),
        judging.factorization_spikes,
    ),
)
