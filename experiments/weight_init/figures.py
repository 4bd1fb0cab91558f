"""Thesis, Figures 4.2 to 4.8: values of layers after training, and of single ones over its course.

    python -m experiments.run --artifact=weight_init/figure_4_4 --scale=reduced

Which networks the pictures are of, as far as the thesis' text says: their legends are not in it.
Figures 4.3 to 4.5 are of "a selected subset": 4.5 speaks of "the two He-initialized models" and of
RandUni_Large among "the other networks", all DWS Conv With BN; GlorotUni stands here for the
others. Figures 4.6 to 4.8 are of "randomly selected layers from randomly selected models" of Table
4.3; which is our choice.

Cost: one to four of the trainings and analyses that Table 4.2 shares, smoke 8 to 15 seconds,
reduced 2 minutes a network on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.engine.networks import thesis_network
from experiments.evidence import figure_table, layerwise
from experiments.evidence.figure_table import Entry
from experiments.weight_init import dynamics

DISCUSSED = tuple(
    thesis_network("DWS", "scale", initializer)
    for initializer in ("RandUni_Large", "HeNorm", "HeUni", "GlorotUni")
)
DYING = thesis_network("DWS", None, "GlorotUni")
LIVING = thesis_network("DWS", None, "RandNorm_Large")
WATCHED_DWS = thesis_network("DWS", "scale", "HeNorm")
WATCHED_REGULAR = thesis_network("Regular", None, "HeUni")

TRAINED = (
    Entry(
        "4.2",
        "Vanishing activations without batch norm",
        (DYING, LIVING),
        ("activation_range",),
        "The ranges of DWS Conv No BN GlorotUni fall from layer to layer until they practically "
        "disappear; only the three dense layers, the last three points, rise again. Here a network "
        "that learns, DWS Conv No BN RandNorm_Large, stands beside it.",
    ),
    Entry(
        "4.3",
        "Weights range of four DWS-ConvNets with batch norm",
        DISCUSSED,
        ("weight_range",),
        "RandUni_Large has generally larger weights ranges than the others, and yet quantizes best "
        "(4.5). Layers beyond the convolutions are shown too.",
    ),
    Entry(
        "4.4",
        "Range and average precision of BN-folded weights of four DWS-ConvNets with batch norm",
        DISCUSSED,
        ("folded_range", "folded_precision"),
        "At layer 2 the range of the two He-initialized networks has a spike and that of "
        "RandUni_Large falls; the average precision of RandUni_Large rises there, that of the "
        "others drops (4.5).",
    ),
    Entry(
        "4.5",
        "Range and average precision of activations of four DWS-ConvNets with batch norm",
        DISCUSSED,
        ("activation_range", "activation_precision"),
        "At layer 2 all ranges rise and all average precisions fall, that of RandUni_Large by much "
        "less than the others (4.5).",
    ),
)
IN_TRAINING = (
    Entry(
        "4.6",
        "Weights of a DWS-ConvNet in the course of training",
        (WATCHED_DWS,),
        ("weight_precision", "weight_range"),
        '"Randomly selected" layers of a DWS Conv model; values settle, after large variations '
        "early in training of one of the depthwise layers. Here it is DWS Conv With BN HeNorm; "
        "every epoch.",
    ),
    Entry(
        "4.7",
        "Weights of a Regular-ConvNet in the course of training",
        (WATCHED_REGULAR,),
        ("weight_precision", "weight_range"),
        '"Randomly selected" layers of a Regular Conv model; values settle. Here it is Regular '
        "Conv No BN HeUni; every epoch.",
    ),
    Entry(
        "4.8",
        "Activations of a Regular-ConvNet and a DWS-ConvNet in the course of training",
        (WATCHED_REGULAR, WATCHED_DWS),
        ("activation_range",),
        '"Randomly selected" layers; the ranges change quite a bit over training. Here the '
        "networks are those of Figures 4.7 and 4.6, and a range is that of all values that a layer "
        "puts out for 128 training images, every epoch.",
    ),
)

AFTER_TRAINING = figure_table.artifacts("weight_init", "Thesis,", TRAINED, layerwise.artifact)
OVER_TRAINING = figure_table.artifacts("weight_init", "Thesis,", IN_TRAINING, dynamics.artifact)
