"""Thesis, Figure 5.15: activations' average precision, layer by layer.

    python -m experiments.run --artifact=factorizenet/figure_5_15 --scale=reduced

Published: ranges of tensor and channels after percentile clipping. Mean and standard deviation over
calibration draws.

Cost: the eight trainings and analyses of this group. smoke 20 seconds (3 networks), reduced
20 minutes on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.factorizenet.spectrum import SPECTRUM

ARTIFACT = layerwise.artifact(
    "factorizenet/figure_5_15",
    "Thesis, Figure 5.15",
    "Average precision of the activations of eight FactorizeNets",
    SPECTRUM,
    ("activation_precision",),
)
