"""Yun & Wong, supplement Figure 4: range and precision of BN-folded weights of ResNet-34.

    python -m experiments.run --artifact=mobilenets/figure_s4 --scale=reduced

Published: small ranges, an average precision that fluctuates (A.2). Panels stand below, not beside,
one another.

Cost: the four trainings and analyses that Table 1 shares. smoke 20 seconds, reduced 10 minutes on
two cores, paper about 3 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.mobilenets.ablation import RESNETS

ARTIFACT = layerwise.artifact(
    "mobilenets/figure_s4",
    "Yun & Wong, supplement Figure 4",
    "Range and average precision of the BN-folded weights of ResNet-34",
    RESNETS,
    ("folded_range", "folded_precision"),
)
