"""Yun & Wong, supplement Figure 5: range and average precision of the activations of ResNet-34.

    python -m experiments.run --artifact=mobilenets/figure_s5 --scale=reduced

Published: as a figure only, without a statement. Panels stand below, not beside, one another.

Cost: the four trainings and analyses that Table 1 shares. smoke 20 seconds, reduced 10 minutes on
two cores, paper about 3 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.mobilenets.ablation import RESNETS

ARTIFACT = layerwise.artifact(
    "mobilenets/figure_s5",
    "Yun & Wong, supplement Figure 5",
    "Range and average precision of the activations of ResNet-34",
    RESNETS,
    ("activation_range", "activation_precision"),
)
