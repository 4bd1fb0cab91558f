"""Yun & Wong, supplement Figure 1: range (top) and average precision (bottom) of trained weights.

    python -m experiments.run --artifact=mobilenets/figure_s1 --scale=reduced

Published: the weights of depthwise networks are poorly behaved before batch norms are folded in
already, and folding makes it worse (A.1).

Cost: the twelve trainings and analyses that Table 1 shares. smoke 20 seconds, reduced 25 minutes
on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.mobilenets.ablation import CONVNETS

ARTIFACT = layerwise.artifact(
    "mobilenets/figure_s1",
    "Yun & Wong, supplement Figure 1",
    "Range and average precision of weights",
    CONVNETS,
    ("weight_range", "weight_precision"),
)
