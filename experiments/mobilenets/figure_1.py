"""Yun & Wong, Figure 1: average precision of trained weights, layer by layer, in DWS-ConvNets.

    python -m experiments.run --artifact=mobilenets/figure_1 --scale=reduced

Published: low average precision at depthwise layers (even numbers): each channel's own range is far
below the tensor's. The same holds for BN-folded weights and activations.

Cost: the four trainings and analyses that Table 1 shares. smoke 10 seconds, reduced 8 minutes on
two cores, paper about 2 hours a network on a GPU.
"""

from experiments.engine.networks import ABLATION
from experiments.evidence import layerwise

ARTIFACT = layerwise.artifact(
    "mobilenets/figure_1",
    "Yun & Wong, Figure 1",
    "Average precision of the weights of DWS-ConvNets",
    [network for network in ABLATION if network.family == "DWS"],
    ("weight_precision",),
)
