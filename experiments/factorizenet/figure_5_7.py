"""Thesis, Figure 5.7: range of BN-folded weights, layer by layer.

    python -m experiments.run --artifact=factorizenet/figure_5_7 --scale=reduced

Published: folding changes the ranges much; the first convolution has a large spike (caption),
smallest in DWS Conv (5.5).

Cost: the eight trainings and analyses of this group. smoke 20 seconds (3 networks), reduced
20 minutes on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.factorizenet.spectrum import SPECTRUM

ARTIFACT = layerwise.artifact(
    "factorizenet/figure_5_7",
    "Thesis, Figure 5.7",
    "Range of BN-folded weights of eight FactorizeNets",
    SPECTRUM,
    ("folded_range",),
)
