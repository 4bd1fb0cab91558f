"""The macroarchitecture that ToyNet, DWS-ConvNet and FactorizeNet share.

A 3x3 convolution with 64 filters, eight blocks, flatten and three dense layers ("Do All MobileNets
Quantize Poorly?" Figure 3; thesis Figures 4.1 and 5.1, taken to be the same). Widths and strides
are not printed in text form there; they follow from the published totals of 266.0, 153.8 and
104.3 million multiply-accumulates, from the first dense layer being layer 18, and from the
strides belonging where the channels grow. The sizes of the dense layers are not public: 256 and
128 are an assumption, and an argument.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import keras

from models import blocks

FIRST_FILTERS = 64

# (output channels, stride) of the eight blocks.
PLAN: tuple[tuple[int, int], ...] = (
    (64, 1),
    (64, 1),
    (128, 2),
    (128, 1),
    (128, 1),
    (256, 2),
    (256, 1),
    (256, 1),
)

Block = Callable[[keras.KerasTensor, int, int, int], keras.KerasTensor]


@dataclass(frozen=True)
class DenseHead:
    """The dense layers after the flattening.

    Attributes:
        num_classes: Outputs of the last dense layer.
        units: Widths of the dense layers before it.
        dropout: Share of activations dropped between dense layers, in [0, 1); 0 adds no layer.
        activation: `"softmax"`, or None for logits.
    """

    num_classes: int
    units: tuple[int, ...] = (256, 128)
    dropout: float = 0.5
    activation: Literal["softmax"] | None = "softmax"

    def __post_init__(self) -> None:
        """Raises ValueError if a number is out of its range."""
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), received {self.dropout}")
        if any(units < 1 for units in self.units):
            raise ValueError(f"dense_units must be positive, received {self.units}")

    def __call__(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Adds flatten, dense and dropout layers: [N, H, W, C] -> [N, num_classes]."""
        x = keras.layers.Flatten(name="flatten")(x)
        for index, units in enumerate(self.units, start=1):
            x = keras.layers.Dense(units, activation="relu", name=f"dense_{index}")(x)
            if self.dropout:
                x = keras.layers.Dropout(self.dropout, name=f"dropout_{index}")(x)
        return blocks.classifier(x, self.num_classes, self.activation)


def assemble(
    name: str,
    block: Block,
    *,
    input_shape: tuple[int, int, int],
    style: blocks.Style,
    width: float,
    head: DenseHead,
) -> keras.Model:
    """Puts first convolution, eight blocks and dense head together.

    Args:
        name: Name of the model.
        block: Adds one block: (input, filters, strides, index from 1) -> output.
        input_shape: Height, width and channels of an image.
        style: Normalization and activation of the first convolution.
        width: Multiplier of all convolutions' channels.
        head: The dense layers.

    Returns:
        An uncompiled functional model.

    Raises:
        ValueError: If images, classes or the multiplier are not usable.
    """
    inputs = blocks.images(input_shape, head.num_classes, smallest=4)
    x = blocks.conv(inputs, blocks.scaled(FIRST_FILTERS, width), "conv_1", style)
    for index, (filters, strides) in enumerate(PLAN, start=1):
        x = block(x, blocks.scaled(filters, width), strides, index)
    return keras.Model(inputs, head(x), name=name)
