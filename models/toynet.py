"""ToyNet with regular convolutions: "Regular Conv" in all three works."""

from typing import Literal

import keras

from models import blocks, initializers, macroarchitecture


def toynet(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    initializer: str = initializers.DEFAULT,
    batch_norm: blocks.BatchNorm = "scale",
    width: float = 1.0,
    dense_units: tuple[int, ...] = (256, 128),
    dropout: float = 0.5,
    classifier_activation: Literal["softmax"] | None = "softmax",
) -> keras.Model:
    """Builds ToyNet of regular 3x3 convolutions (each followed by batch norm and ReLU).

    Default form, with the papers' layer numbers; parameters include four per channel of a batch
    normalization (two of them trained):

    | # | layer | output | parameters | MACs |
    |---|---|---|---|---|
    | 1 | conv_1 | 32x32x64 | 1,728 + 256 | 1,769,472 |
    | 2 | conv_2 | 32x32x64 | 36,864 + 256 | 37,748,736 |
    | 3 | conv_3 | 32x32x64 | 36,864 + 256 | 37,748,736 |
    | 4 | conv_4 (stride 2) | 16x16x128 | 73,728 + 512 | 18,874,368 |
    | 5 | conv_5 | 16x16x128 | 147,456 + 512 | 37,748,736 |
    | 6 | conv_6 | 16x16x128 | 147,456 + 512 | 37,748,736 |
    | 7 | conv_7 (stride 2) | 8x8x256 | 294,912 + 1,024 | 18,874,368 |
    | 8 | conv_8 | 8x8x256 | 589,824 + 1,024 | 37,748,736 |
    | 9 | conv_9 | 8x8x256 | 589,824 + 1,024 | 37,748,736 |
    | | flatten | 16384 | | |
    | 10 | dense_1 | 256 | 4,194,560 | 4,194,304 |
    | 11 | dense_2 | 128 | 32,896 | 32,768 |
    | 12 | predictions | 10 | 1,290 | 1,280 |
    | | convolutions | | 1,918,656 + 5,376 | 266,010,624 |
    | | total | | 6,152,778 | 270,238,976 |

    The convolutions' 266.0 million MACs are the thesis' figure (5.5); dense layers are left out of
    it (Figure 5.4). Dropout is the ablation's ("Do All MobileNets Quantize Poorly?" section 3);
    the thesis names none, so pass `dropout=0` for its networks.

    Args:
        input_shape: Height, width and channels of an image.
        num_classes: Number of classes, at least 2.
        initializer: Initializer of the eight blocks, a name of thesis Table 4.1; first convolution
            and dense layers are Glorot uniform.
        batch_norm: `"scale"`, `"no_scale"` (without gamma) or None (biases instead).
        width: Multiplier of the convolutions' channels (multiples of 8); not of the dense layers.
        dense_units: Widths of the dense layers before the last.
        dropout: Share dropped between dense layers, in [0, 1).
        classifier_activation: `"softmax"`, or None for logits.

    Returns:
        An uncompiled functional model.

    Raises:
        ValueError: If an argument is not usable; the message lists the choices.
    """
    style = blocks.Style(initializer=initializer, batch_norm=batch_norm)

    def block(x: keras.KerasTensor, filters: int, strides: int, index: int) -> keras.KerasTensor:
        name = f"conv_{index + 1}"
        return blocks.conv(x, filters, name, style, strides=strides, initializer=initializer)

    return macroarchitecture.assemble(
        "toynet",
        block,
        input_shape=input_shape,
        style=style,
        width=width,
        head=macroarchitecture.DenseHead(num_classes, dense_units, dropout, classifier_activation),
    )
