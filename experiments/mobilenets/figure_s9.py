"""Yun & Wong, supplement Figure 9: layerwise QMSE of VGG-19 and MobileNet-V1 on ImageNet.

    python -m experiments.run --artifact=mobilenets/figure_s9 --scale=reduced
        --imagenet_data=photographs.npz --mobilenet_v1=mobilenet.keras --vgg19=vgg19.keras

Published: QMSE rises and falls in VGG-19; in MobileNet-V1 it stays high and spikes near the end
(A.3). The scales differ, for the two networks take other preprocessing.

Cost: the analyses of Table 2.
"""

from experiments.mobilenets import imagenet_layers

ARTIFACT = imagenet_layers.artifact(
    "mobilenets/figure_s9",
    "Yun & Wong, supplement Figure 9",
    "Layerwise QMSE on ImageNet",
    ("qmse",),
)
