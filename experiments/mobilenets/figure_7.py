"""Yun & Wong, Figure 7: range and average precision of BN-folded weights on ImageNet.

    python -m experiments.run --artifact=mobilenets/figure_7 --scale=reduced
        --imagenet_data=photographs.npz --mobilenet_v1=mobilenet.keras --vgg19=vgg19.keras

Published: MobileNet-V1's ranges spike at depthwise layers, about an order of magnitude above those
of VGG-19 (which has no batch norm), and its average precision is lowest there (section 6).

Cost: the analyses of Table 2.
"""

from experiments.mobilenets import imagenet_layers

ARTIFACT = imagenet_layers.artifact(
    "mobilenets/figure_7",
    "Yun & Wong, Figure 7",
    "Range and average precision of BN-folded weights on ImageNet",
    ("folded_range", "folded_precision"),
)
