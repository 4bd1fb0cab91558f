"""MobileNet-V1: the CIFAR form of the ablation, the 224 form, and the quantization-friendly one."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args

import keras

from models import blocks, initializers

Form = Literal["cifar", "imagenet"]

FORMS: tuple[str, ...] = get_args(Form)
FILTERS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
# Numbers, from 1, of the blocks that halve height and width. The CIFAR form does not at the first
# blocks with 128 and with 1024 outputs ("Do All MobileNets Quantize Poorly?" section 3).
STRIDED_BLOCKS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"cifar": (4, 6), "imagenet": (2, 4, 6, 12)}
)

# Arguments of `mobilenet_v1` for each row of Sheng et al.'s table of results (slide 10), each
# stage on top of the one before. The factor of the L2 penalty is not public; this one is slim's
# weight decay of MobileNet.
QUANTIZATION_FRIENDLY: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "original": {"activation": "relu6"},
        "no_depthwise_bn_relu6": {
            "activation": "relu6",
            "depthwise_batch_norm": False,
            "depthwise_activation": False,
        },
        "relu": {
            "activation": "relu",
            "depthwise_batch_norm": False,
            "depthwise_activation": False,
        },
        "depthwise_l2": {
            "activation": "relu",
            "depthwise_batch_norm": False,
            "depthwise_activation": False,
            "depthwise_l2": 4e-5,
        },
    }
)


def mobilenet_v1(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    *,
    form: Form = "cifar",
    initializer: str = initializers.DEFAULT,
    init_scope: initializers.InitScope = "both",
    batch_norm: blocks.BatchNorm = "scale",
    width: float = 1.0,
    activation: blocks.Activation | None = None,
    depthwise_batch_norm: bool = True,
    depthwise_activation: bool = True,
    depthwise_l2: float = 0.0,
    classifier_activation: Literal["softmax"] | None = "softmax",
) -> keras.Model:
    """Builds MobileNet-V1 (Howard et al. 2017).

    Layer names are those of `keras.applications.MobileNet`; even layer numbers are depthwise.
    Default form (CIFAR; 4x4x1024 before pooling):

    | # | layer | output | parameters | MACs |
    |---|---|---|---|---|
    | 1 | conv1 (stride 2) | 16x16x32 | 864 + 128 | 221,184 |
    | 2, 3 | conv_dw_1, conv_pw_1 | 16x16x64 | 288 + 128, 2,048 + 256 | 73,728, 524,288 |
    | 4, 5 | conv_dw_2, conv_pw_2 | 16x16x128 | 576 + 256, 8,192 + 512 | 147,456, 2,097,152 |
    | 6, 7 | conv_dw_3, conv_pw_3 | 16x16x128 | 1,152 + 512, 16,384 + 512 | 294,912, 4,194,304 |
    | 8 | conv_dw_4 (stride 2) | 8x8x128 | 1,152 + 512 | 73,728 |
    | 9 | conv_pw_4 | 8x8x256 | 32,768 + 1,024 | 2,097,152 |
    | 10, 11 | conv_dw_5, conv_pw_5 | 8x8x256 | 2,304 + 1,024, 65,536 + 1,024 | 147,456, 4,194,304 |
    | 12 | conv_dw_6 (stride 2) | 4x4x256 | 2,304 + 1,024 | 36,864 |
    | 13 | conv_pw_6 | 4x4x512 | 131,072 + 2,048 | 2,097,152 |
    | 14-23 | conv_dw_7 ... conv_pw_11 | 4x4x512 | 5 x (4,608 + 262,144 + 4,096) | 5 x 4,268,032 |
    | 24, 25 | conv_dw_12, conv_pw_12 | 4x4x1024 | 4,608, 524,288 + 6,144 | 73,728, 8,388,608 |
    | 26, 27 | conv_dw_13, conv_pw_13 | 4x4x1024 | 9,216, 1,048,576 + 8,192 | 147,456, 16,777,216 |
    | | pool | 1024 | | |
    | 28 | predictions | 10 | 10,250 | 10,240 |
    | | total | | 3,239,114 | 62,937,088 |

    The ImageNet form (224x224x3, 1000 classes: 4,253,864 parameters, 568,740,352 MACs) has strides
    at blocks 2, 4, 6 and 12, ReLU6, 7x7x1024 before pooling, dropout 0.001 and a 1x1 convolution
    (`conv_preds`) as layer 28; `copy_weights` fills it from `keras.applications`.

    Args:
        input_shape: Height, width and channels of an image; sizes that are strided should be even,
            as in both forms (`keras.applications` pads odd ones otherwise).
        num_classes: Number of classes, at least 2.
        form: `"cifar"` or `"imagenet"`.
        initializer: Initializer of the kernels in scope, a name of thesis Table 4.1.
        init_scope: `"depthwise"`, `"pointwise"` or `"both"` (the ablation's).
        batch_norm: `"scale"`, `"no_scale"` (without gamma) or None (biases instead).
        width: Multiplier of the channels (multiples of 8).
        activation: `"relu"` or `"relu6"`; None is ReLU for CIFAR, ReLU6 for ImageNet.
        depthwise_batch_norm: Whether batch norm follows depthwise convolutions (Sheng et al.: no).
        depthwise_activation: Whether an activation does (Sheng et al.: no).
        depthwise_l2: Factor of an L2 penalty on depthwise kernels (Sheng et al.: some).
        classifier_activation: `"softmax"`, or None for logits.

    Returns:
        An uncompiled functional model.

    Raises:
        ValueError: If an argument is not usable; the message lists the choices.
    """
    blocks.check_choice("form", form, FORMS)
    if activation is None:
        activation = "relu" if form == "cifar" else "relu6"
    style = blocks.Style(initializer, init_scope, batch_norm, activation)
    inputs = blocks.images(input_shape, num_classes, smallest=8 if form == "cifar" else 32)
    x = blocks.conv(inputs, blocks.scaled(32, width), "conv1", style, strides=2)
    for index, filters in enumerate(FILTERS, start=1):
        name = f"conv_dw_{index}"
        x = blocks.depthwise(
            x,
            name,
            style,
            strides=2 if index in STRIDED_BLOCKS[form] else 1,
            use_bias=batch_norm is None or not depthwise_batch_norm,
            l2=depthwise_l2,
        )
        x = blocks.normalize(x, name, style) if depthwise_batch_norm else x
        x = blocks.activate(x, name, style) if depthwise_activation else x
        x = blocks.pointwise(x, blocks.scaled(filters, width), f"conv_pw_{index}", style)
    if form == "cifar":
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        x = blocks.classifier(x, num_classes, classifier_activation)
    else:
        x = _convolutional_classifier(x, num_classes, classifier_activation)
    return keras.Model(inputs, x, name=f"mobilenet_v1_{form}")


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies weights between layers of one name, for instance from `keras.applications.MobileNet`.

    Args:
        source: Any model.
        target: Model whose every layer with weights has a namesake in the source.

    Raises:
        ValueError: If layers with weights have no namesake or other shapes; all are listed.
    """
    found = {layer.name: layer for layer in source.layers if layer.weights}
    wanted = {layer.name: layer for layer in target.layers if layer.weights}
    problems = [
        name
        for name in wanted | found
        if name not in wanted
        or name not in found
        or [w.shape for w in wanted[name].weights] != [w.shape for w in found[name].weights]
    ]
    if problems:
        raise ValueError(
            f"The weights of {source.name} do not fit {target.name}: these layers are missing on "
            f"one side or have other shapes: {', '.join(problems)}."
        )
    for name, layer in wanted.items():
        layer.set_weights(found[name].get_weights())


def _convolutional_classifier(
    x: keras.KerasTensor, num_classes: int, activation: Literal["softmax"] | None
) -> keras.KerasTensor:
    """The 224 form's end, layer by layer as in `keras.applications`."""
    blocks.check_choice("classifier_activation", activation, blocks.CLASSIFIER_ACTIVATIONS)
    x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    x = keras.layers.Dropout(1e-3, name="dropout")(x)
    x = keras.layers.Conv2D(num_classes, 1, padding="same", name="conv_preds")(x)
    x = keras.layers.Reshape((num_classes,), name="reshape")(x)
    return keras.layers.Activation(activation, name="predictions")(x) if activation else x
