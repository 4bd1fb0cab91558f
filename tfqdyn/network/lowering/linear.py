"""Lowerings of layers with weights: convolutions, dense layers, and per-channel affine maps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.lowering.builder import Builder
from tfqdyn.network.trace import Call, UnsupportedModelError


def array_of(variable: Any) -> NDArray[np.float32]:
    value = variable.numpy() if hasattr(variable, "numpy") else variable
    return np.array(value, dtype=np.float32)


def _linear(b: Builder, op: str, x: str, kernel: Any, layer: Any, **config: Any) -> str:
    """A kernel node with a bias (zeros where the layer has none), then the layer's activation."""
    weights = {"kernel": array_of(kernel)}
    channels = b.shape[-1]
    bias = layer.bias if layer.use_bias else np.zeros(channels)
    weights["bias"] = array_of(bias)
    return b.activated(b.node(op, (x,), weights=weights, **config), layer.activation)


def _spatial(layer: Any) -> dict[str, Any]:
    return {
        "strides": tuple(layer.strides),
        "padding": layer.padding,
        "dilation": tuple(layer.dilation_rate),
    }


def conv2d(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    return _linear(
        b, "conv", inputs[0], layer.kernel, layer, groups=layer.groups, **_spatial(layer)
    )


def depthwise_conv2d(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    kernel = getattr(layer, "depthwise_kernel", None)
    return _linear(
        b, "depthwise", inputs[0], layer.kernel if kernel is None else kernel, layer,
        **_spatial(layer),
    )  # fmt: skip


def separable_conv2d(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    kernel = array_of(layer.depthwise_kernel)
    channels = kernel.shape[2] * kernel.shape[3]
    weights = {"kernel": kernel, "bias": np.zeros(channels, np.float32)}
    depthwise = b.node(
        "depthwise", inputs, name=f"{call.name}_depthwise", shape=(*b.shape[:-1], channels),
        weights=weights, **_spatial(layer),
    )  # fmt: skip
    pointwise = {"strides": (1, 1), "padding": "valid", "dilation": (1, 1), "groups": 1}
    return _linear(b, "conv", depthwise, layer.pointwise_kernel, layer, **pointwise)


def conv2d_transpose(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    if tuple(layer.dilation_rate) != (1, 1) or layer.output_padding is not None:
        raise UnsupportedModelError(
            f"layer {call.name!r}: Conv2DTranspose with dilation or output_padding is not supported"
        )
    config = {"strides": tuple(layer.strides), "padding": layer.padding}
    shape = b.shape_of(inputs[0])
    return _linear(
        b, "transposed_conv", inputs[0], layer.kernel, layer, input_shape=shape, **config
    )


def dense(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return _linear(b, "dense", inputs[0], call.layer.kernel, call.layer)


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
