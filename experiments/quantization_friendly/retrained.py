"""Sheng et al., "Experimental Results": the quantization-friendly MobileNet, stage by stage.

    python -m experiments.run --artifact=quantization_friendly/retrained --scale=reduced

Four MobileNets-V1, each stage on top of the one before, each trained from its initialization: the
original, without batch norm and ReLU6 after depthwise convolutions, with ReLU instead of ReLU6, and
with an L2 penalty on depthwise weights. Published: on ImageNet, top-1 in fp32 and in 8 bits. Here
they train on CIFAR-10, in the form and by the recipe of Yun & Wong's ablation (section 3), so that
accuracies compare among our rows only. Accuracies are in percent, means over calibration draws.

Cost: four trainings and analyses. smoke (two networks on digits) 10 seconds, reduced 10 minutes on
two cores, paper about 2 hours a network on a GPU.
"""

from collections.abc import Mapping

from experiments.engine.artifact import Row
from experiments.engine.networks import STAGED, Network
from experiments.evidence import outcomes

PUBLISHED: Mapping[str, tuple[float, float]] = {
    "MobileNet": (70.50, 1.80),
    "Remove BN and ReLU6 in depthwise": (70.55, 61.50),
    "Replace all ReLU6 by ReLU": (70.80, 67.80),
    "L2 on depthwise weights": (70.77, 68.03),
}
"""Top-1 accuracy on ImageNet in fp32 and in 8 bits, in percent, by network."""


def published(network: Network) -> Row:
    """Sheng et al.'s row of a stage."""
    fp32, uint8 = PUBLISHED[network.name]
    return {"published_fp32_accuracy": fp32, "published_uint8_accuracy": uint8}


ARTIFACT = outcomes.table(
    "quantization_friendly/retrained",
    "Sheng et al., Experimental Results",
    "The quantization-friendly MobileNet, retrained stage by stage",
    STAGED,
    published,
    columns=(
        "network",
        "status",
        "fp32_accuracy",
        "published_fp32_accuracy",
        "uint8_accuracy",
        "published_uint8_accuracy",
    ),
)
