"""Yun & Wong, supplement Figure 8: range of weights before and after folding on ImageNet.

    python -m experiments.run --artifact=mobilenets/figure_s8 --scale=reduced
        --imagenet_data=photographs.npz --mobilenet_v1=mobilenet.keras --vgg19=vgg19.keras

Published: folding shifts the ranges of MobileNet-V1 far more than those of the CIFAR-10 networks
(A.1); the scales before and after are very different.

Cost: the analyses of Table 2.
"""

from experiments.mobilenets import imagenet_layers

ARTIFACT = imagenet_layers.artifact(
    "mobilenets/figure_s8",
    "Yun & Wong, supplement Figure 8",
    "Range of weights before and after folding on ImageNet",
    ("weight_range", "folded_range"),
)
