"""Thesis, Figure 5.12: average precision of BN-folded weights of DWS Conv, f16 and f2.

    python -m experiments.run --artifact=factorizenet/figure_5_12 --scale=reduced

Published: three networks; the captions' "FactorizeNet-ff2" is FactorizeNet-f2, which the text
discusses with these figures. f16 combines low precision with large range in early
layers (5.5).

Cost: three of the trainings and analyses of this group. smoke 15 seconds (2 networks), reduced
8 minutes on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.factorizenet.spectrum import COMPARED

ARTIFACT = layerwise.artifact(
    "factorizenet/figure_5_12",
    "Thesis, Figure 5.12",
    "Average precision of BN-folded weights of three FactorizeNets",
    COMPARED,
    ("folded_precision",),
)
