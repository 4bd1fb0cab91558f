"""FactorizeNet: ToyNet on the spectrum from regular to depthwise separable (thesis chapter 5)."""

import re
from typing import Literal

import keras

from models import blocks, initializers, macroarchitecture
from models.group_conv import group_conv2d

# The thesis' eight networks, by falling MACs.
FACTORIZATIONS = ("regular", "f2", "finit2", "f4", "finit4", "f8", "f16", "depthwise")


def factorizenet(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    factorization: str = "f2",
    initializer: str = initializers.DEFAULT,
    init_scope: initializers.InitScope = "both",
    batch_norm: blocks.BatchNorm = "scale",
    width: float = 1.0,
    dense_units: tuple[int, ...] = (256, 128),
    dropout: float = 0.0,
    classifier_activation: Literal["softmax"] | None = "softmax",
) -> keras.Model:
    """Builds ToyNet with groupwise separable blocks (thesis 5.3, 5.4).

    A block is a 3x3 group convolution Ci -> Ci in g groups with the stride, then a 1x1 convolution
    Ci -> Co, each with batch norm and ReLU. `"fN"` (uniform) has g = N everywhere; `"finitN"`
    (reverse pyramid) starts with N and doubles g where the input channels double, so that the
    channels of a group stay the same. g = Ci is depthwise: `"finit64"` equals `"depthwise"`.

    Layer numbers are those of `dws_convnet` (`"regular"`: of `toynet`): group convolutions even
    numbers up to 16, first dense layer 18. Parameters of the default form (f2); for g groups a
    group convolution has 9 Ci Ci / g parameters:

    | # | layer | output | parameters | MACs |
    |---|---|---|---|---|
    | 1 | conv_1 | 32x32x64 | 1,728 + 256 | 1,769,472 |
    | 2, 3 | conv_group_1, conv_pw_1 | 32x32x64 | 18,432, 4,096 + 512 | 18,874,368, 4,194,304 |
    | 4, 5 | conv_group_2, conv_pw_2 | 32x32x64 | 18,432, 4,096 + 512 | 18,874,368, 4,194,304 |
    | 6 | conv_group_3 (stride 2) | 16x16x64 | 18,432 + 256 | 4,718,592 |
    | 7 | conv_pw_3 | 16x16x128 | 8,192 + 512 | 2,097,152 |
    | 8, 9 | conv_group_4, conv_pw_4 | 16x16x128 | 73,728, 16,384 + 1,024 | 18,874,368, 4,194,304 |
    | 10, 11 | conv_group_5, conv_pw_5 | 16x16x128 | as 8, 9 | 18,874,368, 4,194,304 |
    | 12 | conv_group_6 (stride 2) | 8x8x128 | 73,728 + 512 | 4,718,592 |
    | 13 | conv_pw_6 | 8x8x256 | 32,768 + 1,024 | 2,097,152 |
    | 14, 15 | conv_group_7, conv_pw_7 | 8x8x256 | 294,912, 65,536 + 2,048 | 18,874,368, 4,194,304 |
    | 16, 17 | conv_group_8, conv_pw_8 | 8x8x256 | 294,912, 65,536 + 2,048 | 18,874,368, 4,194,304 |
    | 18-20 | dense_1, dense_2, predictions | 10 | 4,228,746 | 4,228,352 |

    | factorization | convolutions' MACs | thesis (5.5) | parameters |
    |---|---|---|---|
    | regular | 266,010,624 | 266.0 M | 6,152,778 |
    | f2 | 153,812,992 | 153.8 M | 5,319,498 |
    | finit2 | 104,267,776 | 104.3 M | 4,766,538 |
    | f4 | 92,471,296 | | 4,886,346 |
    | finit4 | 67,698,688 | | 4,609,866 |
    | f8 | 61,800,448 | | 4,669,770 |
    | f16 | 46,465,024 | | 4,561,482 |
    | depthwise (finit64) | 33,415,168 | | 4,462,986 |

    Args:
        input_shape: Height, width and channels of an image.
        num_classes: Number of classes, at least 2.
        factorization: `"regular"`, `"depthwise"`, `"fN"` or `"finitN"` with a whole number N.
        initializer: Initializer of the kernels in scope, a name of thesis Table 4.1.
        init_scope: `"depthwise"` (here the group convolutions), `"pointwise"` or `"both"`.
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
    style = blocks.Style(initializer, init_scope, batch_norm)
    first = blocks.scaled(macroarchitecture.FIRST_FILTERS, width)

    def block(x: keras.KerasTensor, filters: int, strides: int, index: int) -> keras.KerasTensor:
        if factorization == "regular":
            name = f"conv_{index + 1}"
            return blocks.conv(x, filters, name, style, strides=strides, initializer=initializer)
        channels = x.shape[-1]
        groups = groups_of(factorization, channels, first)
        if groups == channels:
            return blocks.separable(x, filters, index, style, strides=strides)
        name = f"conv_group_{index}"
        x = group_conv2d(
            channels,
            3,
            groups=groups,
            name=name,
            strides=strides,
            use_bias=batch_norm is None,
            initializer=style.initializer_for("depthwise"),
        )(x)
        x = blocks.activate(blocks.normalize(x, name, style), name, style)
        return blocks.pointwise(x, filters, f"conv_pw_{index}", style)

    return macroarchitecture.assemble(
        f"factorizenet_{factorization}",
        block,
        input_shape=input_shape,
        style=style,
        width=width,
        head=macroarchitecture.DenseHead(num_classes, dense_units, dropout, classifier_activation),
    )


def groups_of(factorization: str, channels: int, first_channels: int) -> int:
    """The number of groups of a block's 3x3 convolution.

    Args:
        factorization: `"depthwise"`, `"fN"` or `"finitN"`.
        channels: Input channels of the block.
        first_channels: Input channels of the first block.

    Raises:
        ValueError: If the name is none of these, or the groups do not divide the channels.
    """
    if factorization == "depthwise":
        return channels
    match = re.fullmatch(r"(f|finit)([1-9]\d*)", factorization)
    if match is None:
        named = ", ".join(repr(name) for name in FACTORIZATIONS)
        raise ValueError(
            f"Unknown factorization {factorization!r}. Valid choices: {named}, and 'fN', 'finitN' "
            "with any whole number N."
        )
    rate = int(match[2])
    groups = rate if match[1] == "f" else rate * channels // first_channels
    if groups > channels or channels % groups:
        raise ValueError(
            f"factorization {factorization!r} asks for {groups} groups of {channels} channels; the "
            "groups must divide the channels. Choose a smaller N or a larger width."
        )
    return groups
