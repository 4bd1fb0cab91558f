"""What the thesis claims of its chapter 4 networks, each with the rule that decides it here.

A claim that is so with p > 0.05 counts as not told apart from chance. "Loses" means percent
accuracy decrease, the mean over calibration draws; networks whose training failed lose nothing and
are left out. The rules were set before the trainings at `reduced` were analyzed.
"""

from experiments.evidence.claims import Claim
from experiments.weight_init import course_judging as course
from experiments.weight_init import judging
from experiments.weight_init.judging import ACTIVATIONS, FOLDED, RANGES, TABLE, VANISHING

CLAIMS = (
    Claim(
        "weight_init/batch_norm_costs_accuracy",
        "Quantized accuracy usually worsens when batch norm is introduced. Rule: over the pairs "
        "of networks that train with and without it, the median difference of percent accuracy "
        "decrease is above 0; Wilcoxon, p <= 0.05.",
        "Thesis, 4.5 and 6.2.5",
        (TABLE,),
        judging.batch_norm_costs,
        losses=TABLE,
    ),
    Claim(
        "weight_init/batch_norm_costs_depthwise_more",
        "Batch norm increases quantization error especially for depthwise separable networks. "
        "Rule: the median difference of percent accuracy decrease over such pairs is larger for "
        "DWS-ConvNets; Mann-Whitney, p <= 0.05.",
        "Thesis, 6.2.5",
        (TABLE,),
        judging.batch_norm_costs_depthwise_more,
        losses=TABLE,
    ),
    Claim(
        "weight_init/initialization_decides",
        "Initialization significantly affects quantized accuracy. Rule: it spreads percent "
        "accuracy decrease more than calibration draws do, in each of the four architectures; "
        "analysis of variance, p <= 0.05.",
        "Thesis, 4.7",
        (TABLE,),
        judging.initialization_decides,
        losses=TABLE,
    ),
    Claim(
        "weight_init/randuni_large_best",
        "Of the DWS-ConvNets with batch norm RandUni_Large loses least. Rule: it does.",
        "Thesis, 4.5 and Table 4.2",
        (TABLE,),
        judging.standing("DWS", "With BN", judging.BEST, largest=False),
        losses=TABLE,
    ),
    Claim(
        "weight_init/he_worst",
        "Of the DWS-ConvNets with batch norm the two He initializations lose most. Rule: they "
        "do, in either order.",
        "Thesis, 4.5 and Table 4.2",
        (TABLE,),
        judging.standing("DWS", "With BN", *judging.HE, largest=True),
        losses=TABLE,
    ),
    Claim(
        "weight_init/modglorot_med_worst",
        "Of the Regular-ConvNets with batch norm ModGlorotUni_Med loses most. Rule: it does.",
        "Thesis, 4.5 and Table 4.2",
        (TABLE,),
        judging.standing(
            "Regular", "With BN", "Regular Conv With BN ModGlorotUni_Med", largest=True
        ),
        losses=TABLE,
    ),
    Claim(
        "weight_init/dws_no_bn_dies",
        "Of the DWS-ConvNets without batch norm only ModGlorotUni_Large, RandNorm_Large, "
        "RandNorm_Med and RandUni_Large train. Rule: these four and no others.",
        "Thesis, 4.5 and Table 4.2",
        (TABLE,),
        judging.survivors("DWS"),
    ),
    Claim(
        "weight_init/regular_no_bn_lives",
        "Of the Regular-ConvNets without batch norm only the four Glorot and He initializations "
        "train. Rule: these four and no others.",
        "Thesis, 4.5 and Table 4.2",
        (TABLE,),
        judging.survivors("Regular"),
    ),
    Claim(
        "weight_init/batch_norm_lets_all_train",
        "Batch norm alleviates vanishing and exploding. Rule: all 24 networks with it train.",
        "Thesis, 4.5 and Table 4.2",
        (TABLE,),
        judging.all_train_with_batch_norm,
    ),
    Claim(
        "weight_init/vanishing_activations",
        "DWS-ConvNets without batch norm die of activations that vanish in the forward pass. "
        "Rule: in DWS Conv No BN GlorotUni activation ranges of the convolutions fall with depth "
        "(rank correlation, p <= 0.05), the last below all of a network's that trains.",
        "Thesis, 4.5 and Figure 4.2",
        (TABLE, VANISHING),
        judging.vanishing,
    ),
    Claim(
        "weight_init/weights_range_is_not_all",
        "Weights ranges do not tell the whole story: RandUni_Large has generally larger ones than "
        "the others and quantizes better. Rule: it loses least of the four networks of Figure "
        "4.3, its ranges being above the others' mean; Wilcoxon over convolutions, p <= 0.05.",
        "Thesis, 4.5 and Figure 4.3",
        (TABLE, RANGES),
        judging.weights_range_is_not_all,
    ),
    Claim(
        "weight_init/folded_range_at_layer_2",
        "The two He networks have a spike in the BN-folded range at layer 2, where that of "
        "RandUni_Large decreases. Rule: layer 2 above layers 1 and 3; layer 2 below layer 1.",
        "Thesis, 4.5 and Figure 4.4",
        (TABLE, FOLDED),
        judging.folded_range_at_layer_2,
    ),
    Claim(
        "weight_init/folded_precision_at_layer_2",
        "From layer 1 to 2 the average precision of BN-folded weights drops in all networks of "
        "Figure 4.4 but RandUni_Large, where it increases. Rule: so in all four.",
        "Thesis, 4.5 and Figure 4.4",
        (TABLE, FOLDED),
        judging.folded_precision_at_layer_2,
    ),
    Claim(
        "weight_init/activations_at_layer_2",
        "From layer 1 to 2 all activation ranges increase and average precisions decrease, that "
        "of RandUni_Large least. Rule: so in all networks of Figure 4.5.",
        "Thesis, 4.5 and Figure 4.5",
        (TABLE, ACTIVATIONS),
        judging.activations_at_layer_2,
    ),
    Claim(
        "weight_init/epoch_5_says_nothing",
        "Percent accuracy decrease and QMSE at epoch 5 are not representative of the trained "
        "networks. Rule: over at least 20 networks neither has a positive rank correlation with "
        "the final decrease at p <= 0.05.",
        "Thesis, 4.6",
        (course.EARLY,),
        course.epoch_5_says_nothing,
        losses=TABLE,
    ),
    Claim(
        "weight_init/ranking_hard_to_predict",
        "The ranking by quantized accuracy is hard to predict before the end of training. Rule: "
        "over at least 20 networks the decrease at epochs 5, 50, 75 and 150 explains less than "
        "half of the variance of the final ranks.",
        "Thesis, 4.6",
        (course.EARLY,),
        course.ranking_is_hard_to_predict,
        losses=TABLE,
    ),
    Claim(
        "weight_init/worst_known_by_75",
        "By epoch 75 the network that loses most in the end is apparent. Rule: the largest "
        "percent accuracy decrease of Table 4.3 is the same network's at both epochs.",
        "Thesis, 4.6 and Table 4.3",
        (course.TABLE_3,),
        course.known_by_75(course.TABLE_3, "percent_decrease", 1),
        losses=TABLE,
    ),
    Claim(
        "weight_init/two_worst_known_by_75",
        "By epoch 75 QMSE tells the two worst networks. Rule: the two largest QMSE of Table 4.4 "
        "are the same networks' at both epochs.",
        "Thesis, 4.6 and Table 4.4",
        (course.TABLE_4,),
        course.known_by_75(course.TABLE_4, "qmse", 2),
    ),
    Claim(
        "weight_init/statistics_converge",
        "Dynamic ranges and average precisions converge. Rule: over all layers of Figures 4.6 to "
        "4.8 the change an epoch is smaller in the last quarter of training than in the first; "
        "Wilcoxon, p <= 0.05.",
        "Thesis, 4.6",
        course.FIGURES,
        course.statistics_converge,
    ),
    Claim(
        "weight_init/activations_vary_most",
        "Early variation is most pronounced in the activation ranges. Rule: in the first half of "
        "training a layer's activation range changes more an epoch, as a share of its mean, than "
        "its weights range; Wilcoxon, p <= 0.05.",
        "Thesis, 4.6",
        course.FIGURES,
        course.activations_vary_most,
    ),
)
