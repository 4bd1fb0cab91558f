"""Yun & Wong, Figure 6: layerwise QCE and QKL-Div of VGG-19 and MobileNet-V1 on ImageNet.

    python -m experiments.run --artifact=mobilenets/figure_6 --scale=reduced
        --imagenet_data=photographs.npz --mobilenet_v1=mobilenet.keras --vgg19=vgg19.keras

Published: QKL-Div is much higher in MobileNet-V1 than in VGG-19 (section 6).

Cost: the analyses of Table 2.
"""

from experiments.mobilenets import imagenet_layers

ARTIFACT = imagenet_layers.artifact(
    "mobilenets/figure_6",
    "Yun & Wong, Figure 6",
    "Layerwise QCE and QKL-Div on ImageNet",
    ("qce", "qkl_div"),
)
