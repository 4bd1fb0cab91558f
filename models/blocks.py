"""Blocks, layer names and argument checks that the networks share.

Names say role and block, as in `keras.applications`: block i of a separable network owns
`conv_dw_i`, `conv_dw_i_bn`, `conv_dw_i_relu`, `conv_pw_i`, `conv_pw_i_bn`, `conv_pw_i_relu`.

A convolution has a bias exactly where no batch normalization follows it. Batch normalization has
Keras' defaults (momentum 0.99, epsilon 1e-3).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import keras

from models import initializers

BatchNorm = Literal["scale", "no_scale"] | None
Activation = Literal["relu", "relu6"]

BATCH_NORMS: tuple[BatchNorm, ...] = ("scale", "no_scale", None)
ACTIVATIONS: tuple[str, ...] = get_args(Activation)
CLASSIFIER_ACTIVATIONS: tuple[str | None, ...] = ("softmax", None)


@dataclass(frozen=True)
class Style:
    """How the convolutions of a network are initialized, normalized and activated.

    Attributes:
        initializer: A name of `initializers.STRATEGIES`; the first convolution and the dense
            layers stay Glorot uniform whatever it is (thesis 4.4).
        init_scope: Which kernels of a separable block the initializer applies to; the other one
            stays Glorot uniform. Regular convolutions always follow the initializer.
        batch_norm: `"scale"` (beta and gamma), `"no_scale"` (beta only, "No Gamma" in the papers)
            or None.
        activation: `"relu"` or `"relu6"`.
    """

    initializer: str = initializers.DEFAULT
    init_scope: initializers.InitScope = "depthwise"
    batch_norm: BatchNorm = "scale"
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        """Raises ValueError, with the valid choices, if an attribute is none of them."""
        check_choice("initializer", self.initializer, initializers.STRATEGIES)
        check_choice("init_scope", self.init_scope, initializers.INIT_SCOPES)
        check_choice("batch_norm", self.batch_norm, BATCH_NORMS)
        check_choice("activation", self.activation, ACTIVATIONS)

    def initializer_for(self, role: Literal["depthwise", "pointwise"]) -> str:
        """The name of the initializer of a separable block's kernel in this role."""
        return self.initializer if self.init_scope in (role, "both") else initializers.DEFAULT


def check_choice(argument: str, value: object, choices: Iterable[object]) -> None:
    """Raises ValueError, with the valid choices, if the value is none of them."""
    choices = tuple(choices)
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"Unknown {argument} {value!r}. Valid choices: {listed}.")


def images(
    input_shape: tuple[int, int, int], num_classes: int, *, smallest: int
) -> keras.KerasTensor:
    """Makes a network's input, `images`, [N, H, W, C].

    Raises:
        ValueError: Unless images are at least `smallest` pixels high and wide and there are at
            least two classes.
    """
    whole = all(isinstance(size, int) and size > 0 for size in input_shape)
    if len(input_shape) != 3 or not whole or min(input_shape[:2]) < smallest:
        raise ValueError(
            "input_shape must be (height, width, channels) with height and width of at least "
            f"{smallest}, received {input_shape}"
        )
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, received {num_classes}")
    made: Any = keras.Input(input_shape, name="images")
    return made


def scaled(channels: int, width: float) -> int:
    """Channels x width, rounded to a multiple of 8 and at least 8 (width 1: unchanged).

    Raises:
        ValueError: If the width multiplier is not positive.
    """
    if width <= 0:
        raise ValueError(f"width must be a positive multiplier, for instance 0.5, received {width}")
    return channels if width == 1 else max(8, 8 * round(channels * width / 8))


def normalize(x: keras.KerasTensor, name: str, style: Style) -> keras.KerasTensor:
    """Adds `<name>_bn` if the style has batch normalization."""
    if style.batch_norm is None:
        return x
    return keras.layers.BatchNormalization(scale=style.batch_norm == "scale", name=f"{name}_bn")(x)


def activate(x: keras.KerasTensor, name: str, style: Style) -> keras.KerasTensor:
    """Adds `<name>_relu`: ReLU or ReLU6."""
    ceiling = 6.0 if style.activation == "relu6" else None
    return keras.layers.ReLU(max_value=ceiling, name=f"{name}_relu")(x)


def conv(
    x: keras.KerasTensor,
    filters: int,
    name: str,
    style: Style,
    *,
    kernel_size: int = 3,
    strides: int = 1,
    initializer: str = initializers.DEFAULT,
    activated: bool = True,
) -> keras.KerasTensor:
    """Adds `<name>`, `<name>_bn`, `<name>_relu`: a regular (or 1x1) convolution block.

    Args:
        x: Input, [N, H, W, Ci].
        filters: Output channels Co.
        name: Name of the convolution.
        style: Batch normalization and activation; the initializer is an argument of its own.
        kernel_size: Height and width of the kernel.
        strides: Step in both directions; borders are padded (`"same"`).
        initializer: Name of the kernel's initializer.
        activated: Whether the activation follows.

    Returns:
        Output, [N, ceil(H / strides), ceil(W / strides), Co].
    """
    x = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=style.batch_norm is None,
        kernel_initializer=initializers.make(initializer),
        name=name,
    )(x)
    x = normalize(x, name, style)
    return activate(x, name, style) if activated else x


def depthwise(
    x: keras.KerasTensor,
    name: str,
    style: Style,
    *,
    strides: int = 1,
    use_bias: bool | None = None,
    l2: float = 0.0,
) -> keras.KerasTensor:
    """Adds `<name>`: a 3x3 depthwise convolution alone, [N, H, W, C] -> [N, H', W', C].

    Args:
        x: Input.
        name: Name of the layer.
        style: Says how to initialize, and whether batch normalization follows.
        strides: Step in both directions; borders are padded (`"same"`).
        use_bias: Whether to add a bias; None adds one if no batch normalization follows.
        l2: Factor of the L2 penalty on the kernel; 0 is none.
    """
    return keras.layers.DepthwiseConv2D(
        3,
        strides=strides,
        padding="same",
        use_bias=style.batch_norm is None if use_bias is None else use_bias,
        depthwise_initializer=initializers.make(style.initializer_for("depthwise")),
        depthwise_regularizer=keras.regularizers.L2(l2) if l2 else None,
        name=name,
    )(x)


def separable(
    x: keras.KerasTensor, filters: int, index: int, style: Style, *, strides: int = 1
) -> keras.KerasTensor:
    """Adds a depthwise separable block: both convolutions normalized and activated.

    Args:
        x: Input, [N, H, W, Ci].
        filters: Output channels of the pointwise convolution.
        index: Number of the block, from 1, for the layer names.
        style: Initialization, normalization and activation of both convolutions.
        strides: Step of the depthwise convolution.
    """
    name = f"conv_dw_{index}"
    x = depthwise(x, name, style, strides=strides)
    x = activate(normalize(x, name, style), name, style)
    return pointwise(x, filters, f"conv_pw_{index}", style)


def pointwise(
    x: keras.KerasTensor, filters: int, name: str, style: Style, *, activated: bool = True
) -> keras.KerasTensor:
    """Adds `<name>`, `<name>_bn`, `<name>_relu`: a 1x1 convolution block."""
    chosen = style.initializer_for("pointwise")
    return conv(x, filters, name, style, kernel_size=1, initializer=chosen, activated=activated)


def classifier(
    x: keras.KerasTensor, num_classes: int, activation: Literal["softmax"] | None
) -> keras.KerasTensor:
    """Adds the last dense layer, `predictions`: [N, C] -> [N, num_classes].

    Raises:
        ValueError: If the activation is neither `"softmax"` nor None (logits).
    """
    check_choice("classifier_activation", activation, CLASSIFIER_ACTIVATIONS)
    return keras.layers.Dense(num_classes, activation=activation, name="predictions")(x)
