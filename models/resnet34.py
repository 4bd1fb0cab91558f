"""ResNet-34 for CIFAR, as the supplement of "Do All MobileNets Quantize Poorly?" changes it."""

from typing import Literal

import keras

from models import blocks, initializers

# (output channels, blocks, stride of the first block) of the four stages.
STAGES: tuple[tuple[int, int, int], ...] = ((64, 3, 1), (128, 4, 1), (256, 6, 2), (512, 3, 1))


def resnet34(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    initializer: str = initializers.DEFAULT,
    batch_norm: blocks.BatchNorm = "scale",
    width: float = 1.0,
    classifier_activation: Literal["softmax"] | None = "softmax",
) -> keras.Model:
    """Builds ResNet-34 (He et al. 2016) without max pooling and with two fewer strides.

    The changes are the supplement's list (A.2): no max pooling after the first convolution, no
    stride at the first blocks with 128 and with 512 outputs. They give 8x8x512 before pooling; the
    supplement's "4x4x1024" is MobileNet's and cannot come out of a ResNet-34.

    A block is two 3x3 convolutions, each with batch norm, a ReLU between and one after the
    addition. Where the channels change, the shortcut is a 1x1 convolution with batch norm; it is
    counted after the two 3x3 convolutions, which makes the projections layers 10, 19 and 32.

    | # | layer | output | parameters | MACs |
    |---|---|---|---|---|
    | 1 | conv1 (7x7, stride 2) | 16x16x64 | 9,408 + 256 | 2,408,448 |
    | 2-7 | stage_1: 3 blocks | 16x16x64 | 6 x (36,864 + 256) | 6 x 9,437,184 |
    | 8, 9 | stage_2_block_1 | 16x16x128 | 73,728, 147,456 + 1,024 | 18,874,368, 37,748,736 |
    | 10 | stage_2_block_1_proj | 16x16x128 | 8,192 + 512 | 2,097,152 |
    | 11-16 | stage_2: 3 blocks | 16x16x128 | 6 x (147,456 + 512) | 6 x 37,748,736 |
    | 17 | stage_3_block_1_conv1 (stride 2) | 8x8x256 | 294,912 + 1,024 | 18,874,368 |
    | 18 | stage_3_block_1_conv2 | 8x8x256 | 589,824 + 1,024 | 37,748,736 |
    | 19 | stage_3_block_1_proj | 8x8x256 | 32,768 + 1,024 | 2,097,152 |
    | 20-29 | stage_3: 5 blocks | 8x8x256 | 10 x (589,824 + 1,024) | 10 x 37,748,736 |
    | 30, 31 | stage_4_block_1 | 8x8x512 | 1,179,648, 2,359,296 + 4,096 | 75,497,472, 150,994,944 |
    | 32 | stage_4_block_1_proj | 8x8x512 | 131,072 + 2,048 | 8,388,608 |
    | 33-36 | stage_4: 2 blocks | 8x8x512 | 4 x (2,359,296 + 2,048) | 4 x 150,994,944 |
    | | pool | 512 | | |
    | 37 | predictions | 10 | 5,130 | 5,120 |
    | | total | | 21,306,826 | 1,619,317,760 |

    Args:
        input_shape: Height, width and channels of an image.
        num_classes: Number of classes, at least 2.
        initializer: Initializer of all convolutions but the first, a name of thesis Table 4.1.
        batch_norm: `"scale"`, `"no_scale"` (without gamma) or None (biases instead).
        width: Multiplier of the channels (multiples of 8).
        classifier_activation: `"softmax"`, or None for logits.

    Returns:
        An uncompiled functional model.

    Raises:
        ValueError: If an argument is not usable; the message lists the choices.
    """
    style = blocks.Style(initializer=initializer, batch_norm=batch_norm)
    inputs = blocks.images(input_shape, num_classes, smallest=4)
    x = blocks.conv(inputs, blocks.scaled(64, width), "conv1", style, kernel_size=7, strides=2)
    for stage, (filters, repeats, first_stride) in enumerate(STAGES, start=1):
        for repeat in range(1, repeats + 1):
            stride = first_stride if repeat == 1 else 1
            name = f"stage_{stage}_block_{repeat}"
            x = _block(x, blocks.scaled(filters, width), name, style, stride)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = blocks.classifier(x, num_classes, classifier_activation)
    return keras.Model(inputs, outputs, name="resnet34")


def _block(
    x: keras.KerasTensor, filters: int, name: str, style: blocks.Style, strides: int
) -> keras.KerasTensor:
    """A basic residual block, [N, H, W, Ci] -> [N, H', W', filters]."""
    chosen = style.initializer
    shortcut = x
    x = blocks.conv(x, filters, f"{name}_conv1", style, strides=strides, initializer=chosen)
    x = blocks.conv(x, filters, f"{name}_conv2", style, initializer=chosen, activated=False)
    if strides > 1 or shortcut.shape[-1] != filters:  # after the block's convolutions: numbering
        shortcut = blocks.conv(
            shortcut,
            filters,
            f"{name}_proj",
            style,
            kernel_size=1,
            strides=strides,
            initializer=chosen,
            activated=False,
        )
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return blocks.activate(x, name, style)
