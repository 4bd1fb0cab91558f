"""Thesis, Figure 5.8: activations' range, layer by layer.

    python -m experiments.run --artifact=factorizenet/figure_5_8 --scale=reduced

Published: ranges after percentile clipping, noticeably lower in Regular Conv (5.5). Mean and
standard deviation over calibration draws.

Cost: the eight trainings and analyses of this group. smoke 20 seconds (3 networks), reduced
20 minutes on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.factorizenet.spectrum import SPECTRUM

ARTIFACT = layerwise.artifact(
    "factorizenet/figure_5_8",
    "Thesis, Figure 5.8",
    "Activations' range of eight FactorizeNets",
    SPECTRUM,
    ("activation_range",),
)
