"""ToyNet with depthwise separable blocks: "DWS Conv" in all three works."""

from typing import Literal

import keras

from models import blocks, initializers, macroarchitecture


def dws_convnet(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    initializer: str = initializers.DEFAULT,
    init_scope: initializers.InitScope = "depthwise",
    batch_norm: blocks.BatchNorm = "scale",
    width: float = 1.0,
    dense_units: tuple[int, ...] = (256, 128),
    dropout: float = 0.5,
    classifier_activation: Literal["softmax"] | None = "softmax",
) -> keras.Model:
    """Builds the depthwise separable ToyNet (batch norm and ReLU after each convolution).

    Default form, with the papers' layer numbers: even numbers up to 16 are depthwise.

    | # | layer | output | parameters | MACs |
    |---|---|---|---|---|
    | 1 | conv_1 | 32x32x64 | 1,728 + 256 | 1,769,472 |
    | 2, 3 | conv_dw_1, conv_pw_1 | 32x32x64 | 576, 4,096 + 2 x 256 | 589,824, 4,194,304 |
    | 4, 5 | conv_dw_2, conv_pw_2 | 32x32x64 | 576, 4,096 + 2 x 256 | 589,824, 4,194,304 |
    | 6 | conv_dw_3 (stride 2) | 16x16x64 | 576 + 256 | 147,456 |
    | 7 | conv_pw_3 | 16x16x128 | 8,192 + 512 | 2,097,152 |
    | 8, 9 | conv_dw_4, conv_pw_4 | 16x16x128 | 1,152, 16,384 + 2 x 512 | 294,912, 4,194,304 |
    | 10, 11 | conv_dw_5, conv_pw_5 | 16x16x128 | 1,152, 16,384 + 2 x 512 | 294,912, 4,194,304 |
    | 12 | conv_dw_6 (stride 2) | 8x8x128 | 1,152 + 512 | 73,728 |
    | 13 | conv_pw_6 | 8x8x256 | 32,768 + 1,024 | 2,097,152 |
    | 14, 15 | conv_dw_7, conv_pw_7 | 8x8x256 | 2,304, 65,536 + 2 x 1,024 | 147,456, 4,194,304 |
    | 16, 17 | conv_dw_8, conv_pw_8 | 8x8x256 | 2,304, 65,536 + 2 x 1,024 | 147,456, 4,194,304 |
    | | flatten | 16384 | | |
    | 18 | dense_1 | 256 | 4,194,560 | 4,194,304 |
    | 19 | dense_2 | 128 | 32,896 | 32,768 |
    | 20 | predictions | 10 | 1,290 | 1,280 |
    | | convolutions | | 224,512 + 9,728 | 33,415,168 |
    | | total | | 4,462,986 | 37,643,520 |

    Args:
        input_shape: Height, width and channels of an image.
        num_classes: Number of classes, at least 2.
        initializer: Initializer of the kernels in scope, a name of thesis Table 4.1.
        init_scope: `"depthwise"` (the thesis' study: pointwise kernels stay Glorot uniform),
            `"pointwise"`, or `"both"` (the ablation of "Do All MobileNets Quantize Poorly?").
        batch_norm: `"scale"`, `"no_scale"` (without gamma) or None (biases instead).
        width: Multiplier of the convolutions' channels (multiples of 8); not of the dense layers.
        dense_units: Widths of the dense layers before the last.
        dropout: Share dropped between dense layers, in [0, 1); 0 in the thesis.
        classifier_activation: `"softmax"`, or None for logits.

    Returns:
        An uncompiled functional model.

    Raises:
        ValueError: If an argument is not usable; the message lists the choices.
    """
    style = blocks.Style(initializer, init_scope, batch_norm)

    def block(x: keras.KerasTensor, filters: int, strides: int, index: int) -> keras.KerasTensor:
        return blocks.separable(x, filters, index, style, strides=strides)

    return macroarchitecture.assemble(
        "dws_convnet",
        block,
        input_shape=input_shape,
        style=style,
        width=width,
        head=macroarchitecture.DenseHead(num_classes, dense_units, dropout, classifier_activation),
    )
