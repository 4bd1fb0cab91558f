"""Thesis, Figure 5.13: weights' average precision, layer by layer.

    python -m experiments.run --artifact=factorizenet/figure_5_13 --scale=reduced

Published: a picture alone. Not folded.

Cost: the eight trainings and analyses of this group. smoke 20 seconds (3 networks), reduced
20 minutes on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.factorizenet.spectrum import SPECTRUM

ARTIFACT = layerwise.artifact(
    "factorizenet/figure_5_13",
    "Thesis, Figure 5.13",
    "Average precision of the weights of eight FactorizeNets",
    SPECTRUM,
    ("weight_precision",),
)
