"""Yun & Wong, supplement Figure 10: range and average precision of activations on ImageNet.

    python -m experiments.run --artifact=mobilenets/figure_s10 --scale=reduced
        --imagenet_data=photographs.npz --mobilenet_v1=mobilenet.keras --vgg19=vgg19.keras

Published: VGG-19's ranges are far larger, for its images are not scaled; MobileNet-V1's ranges and
precisions fluctuate from layer to layer (A.3).

The paper's ranges are those of TensorFlow's Graph Transform Tool, which keeps the range from before
the ReLU; here a layer's output is what leaves its fused activation, so that ReLU6 holds the ranges
of all layers but the last at 6, and only precisions fluctuate.

Cost: the analyses of Table 2.
"""

from experiments.mobilenets import imagenet_layers

ARTIFACT = imagenet_layers.artifact(
    "mobilenets/figure_s10",
    "Yun & Wong, supplement Figure 10",
    "Range and average precision of activations on ImageNet",
    ("activation_range", "activation_precision"),
)
