"""The two halves of Yun & Wong's CIFAR-10 ablation: the paper's networks, and the supplement's."""

from experiments.engine.networks import ABLATION

CONVNETS = tuple(network for network in ABLATION if network.family != "ResNet34")
"""Regular-ConvNets, DWS-ConvNets and MobileNets-V1: the twelve networks of the paper's figures."""

RESNETS = tuple(network for network in ABLATION if network.family == "ResNet34")
"""The four ResNet-34 that the supplement adds."""
