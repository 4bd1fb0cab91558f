"""Yun & Wong, supplement Figure 3: range and average precision of the weights of ResNet-34.

    python -m experiments.run --artifact=mobilenets/figure_s3 --scale=reduced

Published: ranges spike at layers 10, 19 and 32, the 1x1 projections (shaded); ranges are small,
average precision fluctuates (A.2). Panels stand below, not beside, one another.

Cost: the four trainings and analyses that Table 1 shares. smoke 20 seconds, reduced 10 minutes on
two cores, paper about 3 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.mobilenets.ablation import RESNETS

ARTIFACT = layerwise.artifact(
    "mobilenets/figure_s3",
    "Yun & Wong, supplement Figure 3",
    "Range and average precision of the weights of ResNet-34",
    RESNETS,
    ("weight_range", "weight_precision"),
)
