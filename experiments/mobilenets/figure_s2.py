"""Yun & Wong, supplement Figure 2: range (top) and average precision (bottom) of activations.

    python -m experiments.run --artifact=mobilenets/figure_s2 --scale=reduced

Published: trends as those of the BN-folded weights (A.1); calibration draws alone vary the ranges,
as the bands show. The paper leaves DWS Conv With Gamma GlorotUni out, whose range reaches 200 at
the first dense layer; here all twelve are drawn.

Cost: the twelve trainings and analyses that Table 1 shares. smoke 20 seconds, reduced 25 minutes
on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.mobilenets.ablation import CONVNETS

ARTIFACT = layerwise.artifact(
    "mobilenets/figure_s2",
    "Yun & Wong, supplement Figure 2",
    "Range and average precision of activations",
    CONVNETS,
    ("activation_range", "activation_precision"),
)
