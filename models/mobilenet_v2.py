"""MobileNet-V2 for CIFAR: the inverted residuals that the works name as their next step."""

from typing import Literal

import keras

from models import blocks, initializers

# (expansion, output channels, blocks, stride of the first) after Sandler et al. 2018, Table 2. At
# 24 and at 160 channels the ImageNet form halves height and width; here it does not.
STAGES: tuple[tuple[int, int, int, int], ...] = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 1),
    (6, 320, 1, 1),
)


def mobilenet_v2(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    initializer: str = initializers.DEFAULT,
    init_scope: initializers.InitScope = "both",
    batch_norm: blocks.BatchNorm = "scale",
    width: float = 1.0,
    activation: blocks.Activation = "relu",
    classifier_activation: Literal["softmax"] | None = "softmax",
) -> keras.Model:
    """Builds MobileNet-V2 with the changes for CIFAR that the ablation makes to MobileNet-V1.

    The works only name this network (supplement A.2). As for V1, the first convolution halves
    height and width and the first and the last of the later halvings are left out: 32, 16, 16, 8,
    4, 4, 4 pixels, 4x4x1280 before pooling. `expand` (1x1, activated), `depthwise` (3x3,
    activated) and `project` (1x1, linear) make a block; equal shapes are added.

    | # | layer | output | parameters | MACs |
    |---|---|---|---|---|
    | 1 | conv1 (stride 2) | 16x16x32 | 992 | 221,184 |
    | 2, 3 | block_1: depthwise, project | 16x16x16 | 992 | 204,800 |
    | 4-6 | block_2 | 16x16x24 | 5,568 | 1,204,224 |
    | 7-9 | block_3 | 16x16x24 | 9,456 | 2,101,248 |
    | 10-12 | block_4 (stride 2) | 8x8x32 | 10,640 | 1,262,592 |
    | 13-18 | block_5, 6 | 8x8x32 | 2 x 15,680 | 2 x 897,024 |
    | 19-21 | block_7 (stride 2) | 4x4x64 | 21,952 | 617,472 |
    | 22-30 | block_8, 9, 10 | 4x4x64 | 3 x 55,936 | 3 x 841,728 |
    | 31-33 | block_11 | 4x4x96 | 68,352 | 1,038,336 |
    | 34-39 | block_12, 13 | 4x4x96 | 2 x 120,768 | 2 x 1,852,416 |
    | 40-42 | block_14 | 4x4x160 | 157,888 | 2,442,240 |
    | 43-48 | block_15, 16 | 4x4x160 | 2 x 324,160 | 2 x 5,053,440 |
    | 49-51 | block_17 | 4x4x320 | 478,400 | 7,511,040 |
    | 52 | conv_last | 4x4x1280 | 414,720 | 6,553,600 |
    | | pool | 1280 | | |
    | 53 | predictions | 10 | 12,810 | 12,800 |
    | | total | | 2,270,794 | 41,300,480 |

    Args:
        input_shape: Height, width and channels of an image.
        num_classes: Number of classes, at least 2.
        initializer: Initializer of the kernels in scope, a name of thesis Table 4.1.
        init_scope: `"depthwise"`, `"pointwise"` (all 1x1 convolutions) or `"both"`.
        batch_norm: `"scale"`, `"no_scale"` (without gamma) or None (biases instead).
        width: Multiplier of the channels (multiples of 8).
        activation: `"relu"` (as V1 for CIFAR) or `"relu6"` (as published).
        classifier_activation: `"softmax"`, or None for logits.

    Returns:
        An uncompiled functional model.

    Raises:
        ValueError: If an argument is not usable; the message lists the choices.
    """
    style = blocks.Style(initializer, init_scope, batch_norm, activation)
    inputs = blocks.images(input_shape, num_classes, smallest=8)
    x = blocks.conv(inputs, blocks.scaled(32, width), "conv1", style, strides=2)
    index = 0
    for expansion, filters, repeats, first_stride in STAGES:
        for repeat in range(repeats):
            index += 1
            stride = first_stride if repeat == 0 else 1
            filters_out = blocks.scaled(filters, width)
            x = _block(x, filters_out, f"block_{index}", style, expansion, stride)
    x = blocks.pointwise(x, blocks.scaled(1280, max(width, 1.0)), "conv_last", style)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = blocks.classifier(x, num_classes, classifier_activation)
    return keras.Model(inputs, outputs, name="mobilenet_v2")


def _block(
    x: keras.KerasTensor,
    filters: int,
    name: str,
    style: blocks.Style,
    expansion: int,
    strides: int,
) -> keras.KerasTensor:
    """An inverted residual with a linear bottleneck, [N, H, W, Ci] -> [N, H', W', filters]."""
    shortcut, channels = x, x.shape[-1]
    if expansion > 1:
        x = blocks.pointwise(x, expansion * channels, f"{name}_expand", style)
    depthwise = f"{name}_depthwise"
    x = blocks.depthwise(x, depthwise, style, strides=strides)
    x = blocks.activate(blocks.normalize(x, depthwise, style), depthwise, style)
    x = blocks.pointwise(x, filters, f"{name}_project", style, activated=False)
    if strides == 1 and channels == filters:
        x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return x
