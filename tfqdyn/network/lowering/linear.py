"""Lowerings of layers with weights: convolutions, dense layers, and per-channel affine maps.

Convolutions of sequences are those of images of height 1, see `builder`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.lowering.builder import Builder
from tfqdyn.network.trace import Call, UnsupportedModelError


def array_of(variable: Any) -> NDArray[np.float32]:
    value = variable.numpy() if hasattr(variable, "numpy") else variable
    return np.array(value, dtype=np.float32)


def _with_bias(layer: Any, kernel: Any, channels: int) -> dict[str, NDArray[np.float32]]:
    """A kernel, of sequences as one of images, and a bias: zeros where the layer has none."""
    kernel = array_of(kernel)
    bias = layer.bias if layer.use_bias else np.zeros(channels)
    return {"kernel": kernel[None] if kernel.ndim == 3 else kernel, "bias": array_of(bias)}


def _convolved(b: Builder, op: str, x: str, kernel: Any, layer: Any, **config: Any) -> str:
    """A convolution, then the layer's activation."""
    weights = _with_bias(layer, kernel, b.shape[-1])
    return b.activated(b.sliding(op, x, weights=weights, **config), layer.activation)


def _spatial(b: Builder, x: str, layer: Any, depthwise: bool = False) -> tuple[str, dict[str, Any]]:
    """What a layer's window slides over, zeros put in front for causal ones, and how it slides.

    TensorFlow's depthwise convolution has one stride for both axes.
    """
    strides, dilation = tuple(layer.strides), wide(layer.dilation_rate)
    if max(strides) > 1 and max(dilation) > 1:
        raise UnsupportedModelError(
            f"layer {layer.name!r}: strides {strides} with dilation {dilation} are not supported"
        )
    padding = layer.padding
    if padding == "causal":
        padding = "valid"
        before = dilation[1] * (layer.kernel_size[0] - 1)
        if before:
            places, channels = b.shape_of(x)
            x = b.sliding(
                "pad", x, name=f"{layer.name}_pad", shape=(places + before, channels),
                padding=((0, 0), (before, 0)),
            )  # fmt: skip
    strides = strides * 2 if depthwise and len(strides) == 1 else wide(strides)
    return x, {"strides": strides, "padding": padding, "dilation": dilation}


def wide(sizes: Any) -> tuple[int, int]:
    """Sizes of a window over an image, or over a sequence as an image of height 1."""
    height, width = (1, *sizes)[-2:]
    return int(height), int(width)


def conv(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    x, how = _spatial(b, inputs[0], layer)
    return _convolved(b, "conv", x, layer.kernel, layer, groups=layer.groups, **how)


def depthwise_conv(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    kernel = getattr(layer, "depthwise_kernel", None)
    x, how = _spatial(b, inputs[0], layer, depthwise=True)
    return _convolved(b, "depthwise", x, layer.kernel if kernel is None else kernel, layer, **how)


def separable_conv(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    kernel = array_of(layer.depthwise_kernel)
    kernel = kernel[None] if kernel.ndim == 3 else kernel
    channels = kernel.shape[2] * kernel.shape[3]
    weights = {"kernel": kernel, "bias": np.zeros(channels, np.float32)}
    x, how = _spatial(b, inputs[0], layer, depthwise=True)
    depthwise = b.sliding(
        "depthwise", x, name=f"{call.name}_depthwise", shape=(*b.shape[:-1], channels),
        weights=weights, **how,
    )  # fmt: skip
    pointwise = {"strides": (1, 1), "padding": "valid", "dilation": (1, 1), "groups": 1}
    return _convolved(b, "conv", depthwise, layer.pointwise_kernel, layer, **pointwise)


def transposed_conv(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    if set(wide(layer.dilation_rate)) != {1} or layer.output_padding is not None:
        raise UnsupportedModelError(
            f"layer {call.name!r}: {call.kind} with dilation or output_padding is not supported"
        )
    return _convolved(
        b, "transposed_conv", inputs[0], layer.kernel, layer, strides=wide(layer.strides),
        padding=layer.padding, input_shape=(1, *b.shape_of(inputs[0]))[-3:],
    )  # fmt: skip


def dense(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    weights = _with_bias(call.layer, call.layer.kernel, b.shape[-1])
    return b.activated(b.node("dense", inputs, weights=weights), call.layer.activation)


def batch_norm(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    axis = layer.axis[0] if isinstance(layer.axis, (list, tuple)) else layer.axis
    rank = len(b.shape)
    if axis not in (-1, rank):
        raise UnsupportedModelError(
            f"layer {call.name!r}: batch norm over axis {axis}; only the last axis is supported"
        )
    mean, variance = array_of(layer.moving_mean), array_of(layer.moving_variance)
    weights = {
        "gamma": array_of(layer.gamma) if layer.scale else np.ones_like(mean),
        "beta": array_of(layer.beta) if layer.center else np.zeros_like(mean),
        "mean": mean,
        "variance": variance,
    }
    return b.node("batch_norm", inputs, weights=weights, epsilon=float(layer.epsilon))


def layer_norm(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer, rank = call.layer, len(b.shape) + 1
    if getattr(layer, "rms_scaling", False):
        raise UnsupportedModelError(f"layer {call.name!r}: rms_scaling is not supported")
    given = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    axes = tuple(sorted(axis % rank for axis in given))
    shape = tuple(b.shape[axis - 1] for axis in axes)
    weights = {
        "gamma": array_of(layer.gamma) if layer.scale else np.ones(shape, np.float32),
        "beta": array_of(layer.beta) if layer.center else np.zeros(shape, np.float32),
    }
    return b.node("layer_norm", inputs, weights=weights, axis=axes, epsilon=float(layer.epsilon))


def layer_scale(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.affine(inputs[0], array_of(call.layer.gamma), 0.0)


def rescaling(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.affine(inputs[0], call.layer.scale, call.layer.offset)


def normalization(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    mean, deviation = array_of(layer.mean), np.sqrt(array_of(layer.variance))
    if mean.size not in (1, b.shape[-1]):
        raise UnsupportedModelError(f"layer {call.name!r} must normalize over the last axis")
    if layer.invert:
        return b.affine(inputs[0], deviation, mean)
    deviation = np.maximum(deviation, 1e-7)
    return b.affine(inputs[0], 1.0 / deviation, -mean / deviation)
