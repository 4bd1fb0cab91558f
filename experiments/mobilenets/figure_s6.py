"""Yun & Wong, supplement Figure 6: QMSE (top), QCE (center) and QKL-Div (bottom) of ResNet-34.

    python -m experiments.run --artifact=mobilenets/figure_s6 --scale=reduced

Published: skip connections do not shield ResNet-34, whose results are like those of
Regular-ConvNets (A.2). The paper leaves one network of large QMSE out; here all four are drawn.

Cost: the four trainings and analyses that Table 1 shares. smoke 20 seconds, reduced 10 minutes on
two cores, paper about 3 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.mobilenets.ablation import RESNETS

ARTIFACT = layerwise.artifact(
    "mobilenets/figure_s6",
    "Yun & Wong, supplement Figure 6",
    "Layerwise QMSE, QCE and QKL-Div of ResNet-34",
    RESNETS,
    ("qmse", "qce", "qkl_div"),
)
