"""Thesis, Figures 5.6 to 5.17: values of layers, of all eight networks and of three of them.

    python -m experiments.run --artifact=factorizenet/figure_5_7 --scale=reduced

Cost: the trainings and analyses of this group. Of all eight: smoke 20 seconds (3 networks), reduced
20 minutes on two cores; of three: smoke 15 seconds (2 networks), reduced 8 minutes; paper about 2
hours a network on a GPU.
"""

from experiments.evidence import figure_table, layerwise
from experiments.evidence.figure_table import Entry
from experiments.factorizenet.spectrum import SPECTRUM

COMPARED = tuple(
    network
    for network in SPECTRUM
    if network.name in ("DWS Conv", "FactorizeNet-f16", "FactorizeNet-f2")
)
"""The three of Figures 5.9 to 5.12, 5.16 and 5.17."""
FF2 = (
    'Three networks; the captions\' "FactorizeNet-ff2" is FactorizeNet-f2, which the text '
    "discusses with these figures."
)

LAYERS = (
    Entry(
        "5.6",
        "Weights range of eight FactorizeNets",
        SPECTRUM,
        ("weight_range",),
        "Ranges get smaller from layer to layer in general (caption); those of Regular Conv are "
        "generally smaller than the others' (5.5).",
    ),
    Entry(
        "5.7",
        "Range of BN-folded weights of eight FactorizeNets",
        SPECTRUM,
        ("folded_range",),
        "Folding changes the ranges much; the first convolution has a large spike (caption), "
        "smallest in DWS Conv (5.5).",
    ),
    Entry(
        "5.8",
        "Activations' range of eight FactorizeNets",
        SPECTRUM,
        ("activation_range",),
        "Ranges after percentile clipping, noticeably lower in Regular Conv (5.5). Mean and "
        "standard deviation over calibration draws.",
    ),
    Entry("5.9", "Weights range of three FactorizeNets", COMPARED, ("weight_range",), FF2),
    Entry(
        "5.10",
        "Range of BN-folded weights of three FactorizeNets",
        COMPARED,
        ("folded_range",),
        FF2,
    ),
    Entry(
        "5.11",
        "Activations' range of three FactorizeNets",
        COMPARED,
        ("activation_range",),
        f"{FF2} Activations of f2 have a generally lower range than those of f16 (5.5).",
    ),
    Entry(
        "5.12",
        "Average precision of BN-folded weights of three FactorizeNets",
        COMPARED,
        ("folded_precision",),
        f"{FF2} f16 combines low precision with large range in early layers (5.5).",
    ),
    Entry(
        "5.13",
        "Average precision of the weights of eight FactorizeNets",
        SPECTRUM,
        ("weight_precision",),
        "A picture alone. Not folded.",
    ),
    Entry(
        "5.14",
        "Average precision of BN-folded weights of eight FactorizeNets",
        SPECTRUM,
        ("folded_precision",),
        "Low in the first layers of f16; that of f2 is worse in the first layer and higher on "
        "average (5.5).",
    ),
    Entry(
        "5.15",
        "Average precision of the activations of eight FactorizeNets",
        SPECTRUM,
        ("activation_precision",),
        "Ranges of tensor and channels after percentile clipping. Mean and standard deviation over "
        "calibration draws.",
    ),
    Entry(
        "5.16",
        "Average precision of the weights of three FactorizeNets",
        COMPARED,
        ("weight_precision",),
        FF2,
    ),
    Entry(
        "5.17",
        "Average precision of the activations of three FactorizeNets",
        COMPARED,
        ("activation_precision",),
        FF2,
    ),
)
ARTIFACTS = figure_table.artifacts("factorizenet", "Thesis,", LAYERS, layerwise.artifact)
