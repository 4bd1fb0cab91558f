"""Thesis, Figure 5.11: activations' range of DWS Conv, f16 and f2.

    python -m experiments.run --artifact=factorizenet/figure_5_11 --scale=reduced

Published: three networks; the captions' "FactorizeNet-ff2" is FactorizeNet-f2, which the text
discusses with these figures. Activations of f2 have a generally lower range
than those of f16 (5.5).

Cost: three of the trainings and analyses of this group. smoke 15 seconds (2 networks), reduced
8 minutes on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.factorizenet.spectrum import COMPARED

ARTIFACT = layerwise.artifact(
    "factorizenet/figure_5_11",
    "Thesis, Figure 5.11",
    "Activations' range of three FactorizeNets",
    COMPARED,
    ("activation_range",),
)
