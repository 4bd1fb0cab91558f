"""Yun & Wong, supplement Figure 7: QMSE of all networks, each family on its own axis.

    python -m experiments.run --artifact=mobilenets/figure_s7 --scale=reduced

Published: DWS Conv With Gamma GlorotUni, the network that quantizes worst, spikes. From top to
bottom Regular-ConvNets, DWS-ConvNets, MobileNets-V1; the axes differ.

Cost: the twelve trainings and analyses that Table 1 shares. smoke 20 seconds, reduced 25 minutes
on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.mobilenets.ablation import CONVNETS

ARTIFACT = layerwise.artifact(
    "mobilenets/figure_s7",
    "Yun & Wong, supplement Figure 7",
    "Layerwise QMSE, each family on its own axis",
    CONVNETS,
    ("qmse",),
    stacked=True,
)
