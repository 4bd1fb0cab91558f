"""VGG-19, the regular ImageNet network of the works, through `keras.applications`."""

from pathlib import Path
from typing import Any, Literal

import keras

from models import blocks, initializers


def vgg19(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    initializer: str = initializers.DEFAULT,
    batch_norm: blocks.BatchNorm = None,
    weights: str | Path | None = None,
    classifier_activation: Literal["softmax"] | None = "softmax",
) -> keras.Model:
    """Builds VGG-19 (Simonyan & Zisserman 2015) with the names of `keras.applications.VGG19`.

    Sixteen 3x3 convolutions with ReLU in five blocks, each ended by 2x2 max pooling, then three
    dense layers (4096, 4096, classes). The published network has no batch norm: it is the default.

    | # | layer | output at 32x32 | parameters | MACs at 32x32 | MACs at 224x224 |
    |---|---|---|---|---|---|
    | 1, 2 | block1_conv1, 2 | 32x32x64 | 1,792 + 36,928 | 39,518,208 | 1,936,392,192 |
    | 3, 4 | block2_conv1, 2 | 16x16x128 | 73,856 + 147,584 | 56,623,104 | 2,774,532,096 |
    | 5-8 | block3_conv1 ... 4 | 8x8x256 | 295,168 + 3 x 590,080 | 132,120,576 | 6,473,908,224 |
    | 9-12 | block4_conv1 ... 4 | 4x4x512 | 8,259,584 | 132,120,576 | 6,473,908,224 |
    | 13-16 | block5_conv1 ... 4 | 2x2x512 | 4 x 2,359,808 | 37,748,736 | 1,849,688,064 |
    | 17 | fc1 (of 512; 25,088 at 224) | 4096 | 2,101,248 | 2,097,152 | 102,760,448 |
    | 18 | fc2 | 4096 | 16,781,312 | 16,777,216 | 16,777,216 |
    | 19 | predictions | 10 | 40,970 | 40,960 | 40,960 |
    | | total | | 38,947,914 | 417,046,528 | 19,628,007,424 |

    (1000 classes at 224x224: 143,667,240 parameters, 19,632,062,464 MACs.)

    Args:
        input_shape: Height, width and channels of an image, at least 32 pixels.
        num_classes: Number of classes, at least 2.
        initializer: Initializer of all convolutions but the first, a name of thesis Table 4.1.
        batch_norm: None (as published), `"scale"` or `"no_scale"`: batch norm between each
            convolution and its ReLU, without the convolutions' biases.
        weights: None for random weights, `"imagenet"` for Keras' download, or a weights file.
        classifier_activation: `"softmax"`, or None for logits.

    Returns:
        An uncompiled functional model.

    Raises:
        ValueError: If an argument is not usable; the message lists the choices.
    """
    inputs = blocks.images(input_shape, num_classes, smallest=32)
    blocks.check_choice(
        "classifier_activation", classifier_activation, blocks.CLASSIFIER_ACTIVATIONS
    )
    style = blocks.Style(initializer=initializer, batch_norm=batch_norm)
    if weights is not None and (batch_norm is not None or initializer != initializers.DEFAULT):
        raise ValueError(
            "weights are of the published network: pass neither initializer nor batch_norm with "
            f"them, received {initializer!r} and {batch_norm!r}"
        )
    published: Any = keras.applications.VGG19
    network: keras.Model = published(
        weights=weights,
        input_shape=input_shape,
        classes=num_classes,
        classifier_activation=classifier_activation,
        name="vgg19",
    )
    if batch_norm is None and initializer == initializers.DEFAULT:
        return network
    return _rebuilt(network, inputs, style)


def _rebuilt(network: keras.Model, inputs: keras.KerasTensor, style: blocks.Style) -> keras.Model:
    """The same chain of layers with the style's initializer and batch norm."""
    x = inputs
    for layer in network.layers[1:]:
        if isinstance(layer, keras.layers.Conv2D):
            first = layer.name == "block1_conv1"
            chosen = initializers.DEFAULT if first else style.initializer
            x = blocks.conv(x, layer.filters, layer.name, style, initializer=chosen)
        else:
            x = type(layer).from_config(layer.get_config())(x)
    return keras.Model(inputs, x, name=network.name)
