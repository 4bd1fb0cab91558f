"""Yun & Wong, Figure 4: layerwise QCE (top) and QKL-Div (bottom).

    python -m experiments.run --artifact=mobilenets/figure_4 --scale=reduced

Published: in Regular-ConvNets and DWS-ConvNets QCE peaks in later layers where QKL-Div drops;
MobileNets-V1 show a steadier level of distributional shift (section 5). The paper's bins are not
known, so absolute values of hidden layers do not compare; ours have 128 bins and 1e-9 added.

Cost: the twelve trainings and analyses that Table 1 shares. smoke 20 seconds, reduced 25 minutes
on two cores, paper about 2 hours a network on a GPU.
"""

from experiments.evidence import layerwise
from experiments.mobilenets.ablation import CONVNETS

ARTIFACT = layerwise.artifact(
    "mobilenets/figure_4",
    "Yun & Wong, Figure 4",
    "Layerwise QCE and QKL-Div",
    CONVNETS,
    ("qce", "qkl_div"),
)
