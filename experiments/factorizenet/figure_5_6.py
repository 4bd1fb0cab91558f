"""Thesis, Figure 5.6: weights range, layer by layer.

    python -m experiments.run --artifact=factorizenet/figure_5_6 --scale=reduced

Published: ranges get smaller from layer to layer in general (caption); those of Regular Conv are
generally smaller than the others' (5.5).

Cost: the eight trainings and analyses of this group. smoke 20 seconds (3 networks), reduced
20 minutes on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.factorizenet.spectrum import SPECTRUM

ARTIFACT = layerwise.artifact(
    "factorizenet/figure_5_6",
    "Thesis, Figure 5.6",
    "Weights range of eight FactorizeNets",
    SPECTRUM,
    ("weight_range",),
)
