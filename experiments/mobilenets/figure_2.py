"""Yun & Wong, Figure 2: layerwise QMSE of Regular-ConvNets, DWS-ConvNets and MobileNets-V1.

    python -m experiments.run --artifact=mobilenets/figure_2 --scale=reduced

Published: a depthwise separable network gathers far more QMSE on its way through the layers; most
DWS-ConvNets come back to a lower one at the output (section 5). The paper leaves networks out whose
QMSE is on another scale; here all twelve are drawn, on a logarithmic axis where they need one.

Cost: the twelve trainings and analyses that Table 1 shares. smoke 20 seconds, reduced 25 minutes
on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.mobilenets.ablation import CONVNETS

ARTIFACT = layerwise.artifact(
    "mobilenets/figure_2",
    "Yun & Wong, Figure 2",
    "Layerwise QMSE",
    CONVNETS,
    ("qmse",),
)
