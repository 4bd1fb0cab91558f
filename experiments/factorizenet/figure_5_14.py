"""Thesis, Figure 5.14: average precision of BN-folded weights, layer by layer.

    python -m experiments.run --artifact=factorizenet/figure_5_14 --scale=reduced

Published: low in the first layers of f16; that of f2 is worse in the first layer and higher on
average (5.5).

Cost: the eight trainings and analyses of this group. smoke 20 seconds (3 networks), reduced
20 minutes on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.factorizenet.spectrum import SPECTRUM

ARTIFACT = layerwise.artifact(
    "factorizenet/figure_5_14",
    "Thesis, Figure 5.14",
    "Average precision of BN-folded weights of eight FactorizeNets",
    SPECTRUM,
    ("folded_precision",),
)
