"""What the thesis claims of its chapter 4 networks, each with the effect that decides it here.

Units are networks, their seeds averaged; what is said of one network by name needs to know what
another training seed makes of it. Trainings that failed are left out and named. Claims about
weights and activations are held against the same networks before training.

Not judged, and why: that ranges and precisions converge (under a learning rate that falls to
nearly nothing everything does).
"""

from collections.abc import Callable
from functools import partial
from statistics import fmean

from experiments.evidence import readings
from experiments.evidence.claims import Claim, claim
from experiments.evidence.effects import Sample
from experiments.weight_init import samples
from experiments.weight_init.samples import BEST, CONTROLS, HE, LAYERS, MED, TABLE

_claim = partial(
    claim, prefix="weight_init/", work="thesis", cited="Thesis", published=True, table=TABLE
)


def _at_layer_2(
    name: str, statement: str, figure: str, effect: Callable[..., Sample], unit: str, claimed: float
) -> Claim:
    return _claim(
        name, statement, f"4.5 and Figure {figure}", (TABLE, LAYERS), effect, unit, claimed,
        published=False, controls=CONTROLS,
    )  # fmt: skip


OF_TABLE = (
    _claim(
        "depthwise_lose_more",
        "DWS-ConvNets lose more accuracy in 8 bits than Regular-ConvNets: difference of the mean "
        "losses of the twelve initializations each, with batch norm.",
        "Table 4.2",
        (TABLE,),
        samples.depthwise_lose_more,
        "points",
        fmean(samples.published_of("DWS Conv With BN").values())
        - fmean(samples.published_of("Regular Conv With BN").values()),
    ),
    _claim(
        "batch_norm_costs_accuracy",
        "Quantized accuracy usually worsens when batch norm is introduced: mean difference of "
        "losses over the pairs of networks that train with and without it.",
        "4.5 and 6.2.5",
        (TABLE,),
        samples.batch_norm_costs,
        "points",
        fmean([*samples.published_costs("DWS"), *samples.published_costs("Regular")]),
    ),
    _claim(
        "batch_norm_costs_depthwise_more",
        "Batch norm increases quantization error especially for depthwise separable networks: the "
        "same difference of DWS-ConvNets, less that of Regular-ConvNets.",
        "6.2.5",
        (TABLE,),
        samples.batch_norm_costs_depthwise_more,
        "points",
        fmean(samples.published_costs("DWS")) - fmean(samples.published_costs("Regular")),
    ),
    _claim(
        "initialization_decides",
        "Initialization significantly affects quantized accuracy: variance of losses among the "
        "initializations of an architecture, beyond what images, draws and training seeds make.",
        "4.7",
        (TABLE,),
        samples.initialization_decides,
        "squared points",
        samples.published_variance(),
    ),
    _claim(
        "randuni_large_best",
        "Of the DWS-ConvNets with batch norm RandUni_Large loses least: points below the nearest "
        "other.",
        "4.5 and Table 4.2",
        (TABLE,),
        samples.place("DWS", BEST, worst=False),
        "points",
        samples.published_gap("DWS Conv With BN", BEST, worst=False),
        premise=samples.loses("DWS"),
    ),
    _claim(
        "he_worst",
        "Of the DWS-ConvNets with batch norm the two He initializations lose most: points above "
        "the nearest other.",
        "4.5 and Table 4.2",
        (TABLE,),
        samples.place("DWS", *HE, worst=True),
        "points",
        samples.published_gap("DWS Conv With BN", *HE, worst=True),
        premise=samples.loses("DWS"),
    ),
    _claim(
        "modglorot_med_worst",
        "Of the Regular-ConvNets with batch norm ModGlorotUni_Med loses most: points above the "
        "nearest other.",
        "4.5 and Table 4.2",
        (TABLE,),
        samples.place("Regular", MED, worst=True),
        "points",
        samples.published_gap("Regular Conv With BN", MED, worst=True),
        premise=samples.loses("Regular"),
    ),
    *(
        _claim(
            f"{family.lower()}_no_bn_{what}",
            f"Of the {shown} without batch norm only {which} train: share of the twelve that fare "
            "as in the thesis, less what chance gives.",
            "4.5 and Table 4.2",
            (TABLE,),
            samples.survivors(family),
            "of twelve",
            4 / 9,
        )
        for family, what, shown, which in (
            ("DWS", "dies", "DWS-ConvNets",
             "ModGlorotUni_Large, RandNorm_Large, RandNorm_Med and RandUni_Large"),
            ("Regular", "lives", "Regular-ConvNets", "the four Glorot and He initializations"),
        )
    ),
    _claim(
        "batch_norm_lets_all_train",
        "Batch norm alleviates vanishing and exploding: share of initializations that train with "
        "it, less that without.",
        "4.5 and Table 4.2",
        (TABLE,),
        samples.batch_norm_lets_train,
        "of pairs",
        2 / 3,
    ),
    _claim(
        "glorot_uniform_leads",
        "GlorotUni has the most success in fp32 accuracy: points above the mean of the other "
        "initializations that train, over architectures.",
        "4.4 and Table 4.2",
        (TABLE,),
        samples.glorot_leads,
        "points",
        samples.published_lead(),
    ),
)  # fmt: skip

OF_LAYERS = (
    _claim(
        "vanishing_activations",
        "DWS-ConvNets without batch norm that die have activations that vanish in the forward "
        "pass: decades of range from first to last convolution, less those of the ones that "
        "train. What kills them must be there before training.",
        "4.5 and Figure 4.2",
        (TABLE, LAYERS),
        samples.vanishing,
        "decades",
        1.0,
        published=False,
        controls=CONTROLS,
    ),
    _at_layer_2(
        "randuni_large_has_large_ranges",
        "RandUni_Large has generally larger weights ranges than the other DWS-ConvNets with batch "
        "norm (and, by `randuni_large_best`, quantizes better): mean log10 over convolutions.",
        "4.3",
        samples.one_against_others((BEST,), readings.average("weight_range", log=True), 1),
        "decades",
        0.1,
    ),
    _at_layer_2(
        "he_range_spikes_at_layer_2",
        "The two He networks have a spike in the BN-folded range at layer 2: log10 of layer 2 over "
        "layer 1, less that of the other DWS-ConvNets with batch norm.",
        "4.4",
        samples.one_against_others(HE, samples.step_to_2("folded_range", log=True), 1),
        "decades",
        0.3,
    ),
    _at_layer_2(
        "randuni_range_falls_at_layer_2",
        "There RandUni_Large's range decreases: log10 of layer 1 over layer 2, less that of the "
        "others.",
        "4.4",
        samples.one_against_others((BEST,), samples.step_to_2("folded_range", log=True), -1),
        "decades",
        0.3,
    ),
    _at_layer_2(
        "randuni_precision_rises_at_layer_2",
        "There the average precision of RandUni_Large's BN-folded weights increases where that of "
        "the others drops: change from layer 1 to 2, less that of the others.",
        "4.4",
        samples.one_against_others((BEST,), samples.step_to_2("folded_precision", log=False), 1),
        "average precision",
        0.1,
    ),
    _at_layer_2(
        "activation_ranges_rise_at_layer_2",
        "All activation ranges increase at layer 2: log10 of layer 2 over layer 1, mean over the "
        "DWS-ConvNets with batch norm.",
        "4.5",
        samples.step_of_all("activation_range", log=True, sign=1),
        "decades",
        0.1,
    ),
    _at_layer_2(
        "activation_precisions_fall_at_layer_2",
        "Activation precisions decrease there: layer 1 less layer 2, mean over the same networks.",
        "4.5",
        samples.step_of_all("activation_precision", log=False, sign=-1),
        "average precision",
        0.05,
    ),
    _at_layer_2(
        "randuni_activations_keep_precision",
        "RandUni_Large experiences a significantly smaller drop in activation precision: change "
        "from layer 1 to 2, less that of the others.",
        "4.5",
        samples.one_against_others(
            (BEST,), samples.step_to_2("activation_precision", log=False), 1
        ),
        "average precision",
        0.05,
    ),
    *(
        _claim(
            f"{name}_more_robust",
            f"Distributions of {what} tend to be more robust to quantization: rank correlation of "
            f"the mean {shown} over layers with the loss, within each architecture of Table 4.2.",
            "6.2.4",
            (TABLE, LAYERS),
            samples.robust(readings.average(column, log=log), sign),
            "rank correlation",
            0.5,
            published=False,
        )
        for name, what, shown, column, log, sign in (
            ("smaller_weights", "smaller range", "log10 range of BN-folded weights",
             "folded_range", True, 1),
            ("precise_weights", "higher average precision", "average precision of BN-folded "
             "weights", "folded_precision", False, -1),
            ("smaller_activations", "smaller range", "log10 range of activations",
             "activation_range", True, 1),
            ("precise_activations", "higher average precision", "average precision of activations",
             "activation_precision", False, -1),
        )
    ),
)  # fmt: skip
