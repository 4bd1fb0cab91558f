"""Yun & Wong, Figure 5: range (top) and average precision (bottom) of BN-folded weights.

    python -m experiments.run --artifact=mobilenets/figure_5 --scale=reduced

Published: at depthwise layers (even numbers) the range peaks while average precision drops; both
fluctuate far more than in Regular-ConvNets (section 5).

Cost: the twelve trainings and analyses that Table 1 shares. smoke 20 seconds, reduced 25 minutes
on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.mobilenets.ablation import CONVNETS

ARTIFACT = layerwise.artifact(
    "mobilenets/figure_5",
    "Yun & Wong, Figure 5",
    "Range and average precision of BN-folded weights",
    CONVNETS,
    ("folded_range", "folded_precision"),
)
