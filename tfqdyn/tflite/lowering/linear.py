"""Lowerings of operators with a kernel."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.numerics.layouts import LAYOUTS, STORED
from tfqdyn.tflite.file import Operator
from tfqdyn.tflite.lowering.builder import FileBuilder, UncoveredError, Value
from tfqdyn.tflite.lowering.dilation import BORDER, SEQUENCE
from tfqdyn.tflite.lowering.moving import padded


def conv(b: FileBuilder, op: Operator) -> None:
    x, kernel = _image(b, op), _kernel(b, op, 4)
    channels = b.image_shape(x)[2]
    outputs, inputs = kernel.shape[0], kernel.shape[3]
    if not inputs or channels % inputs or outputs % (channels // inputs):
        raise UncoveredError(f"a kernel of shape {kernel.shape} on {channels} channels")
    common = STORED[op.kind].common(kernel)
    y = _convolved(b, op, "conv", x, common, groups=channels // inputs)
    b.give(op, y)


def depthwise(b: FileBuilder, op: Operator) -> None:
    x, kernel = _image(b, op), _kernel(b, op, 4)
    channels = b.image_shape(x)[2]
    height, width, outputs = kernel.shape[1:]
    if kernel.shape[0] != 1 or not channels or outputs % channels:
        raise UncoveredError(f"a kernel of shape {kernel.shape} on {channels} channels")
    strides = _strides(op)
    if strides[0] != strides[1]:  # TensorFlow's depthwise kernel has one stride
        common = STORED[op.kind].common(kernel)
        b.give(op, _convolved(b, op, "conv", x, common, groups=channels))
        return
    own = kernel.reshape(height, width, channels, outputs // channels)
    b.give(op, _convolved(b, op, "depthwise", x, own))


def dense(b: FileBuilder, op: Operator) -> None:
    x, kernel = b.value(op), _kernel(b, op, 2)
    if op.options.get("WeightsFormat", 0):
        raise UncoveredError("weights in a shuffled format")
    outputs, inputs = kernel.shape
    shape = b.shape(x)
    if not shape or shape[-1] != inputs:
        if not x.batched or math.prod(shape) != inputs:
            raise UncoveredError(f"a kernel of shape {kernel.shape} on {shape}")
        x = b.reshaped(x, (inputs,), True, "_flat")
        shape = (inputs,)
    weights = {
        "kernel": np.ascontiguousarray(kernel.T),
        "bias": _bias(b, op, 2, outputs),
    }
    y = b.node("dense", (x,), (*shape[:-1], outputs), weights=weights)
    shape, batched = b.same_size(op, y)
    if shape != b.shape(y):
        if op.activation != "NONE":
            raise UncoveredError(f"an output of shape {shape} behind {op.activation}")
        y = b.reshaped(y, shape, batched, "_rows")
    b.give(op, Value(y.node, batched))


def product(b: FileBuilder, op: Operator) -> None:
    """BATCH_MATMUL of two values, or of a value and a stored matrix."""
    x = _adjoint(b, b.value(op, 0), op.options["AdjX"], "_left")
    if not b.is_value(op, 1):
        kernel = b.floats(op, 1, "a matrix")
        if kernel.size != math.prod(kernel.shape[-2:]) or kernel.ndim < 2:
            raise UncoveredError(f"matrices of shape {kernel.shape}")
        kernel = kernel.reshape(kernel.shape[-2], kernel.shape[-1])
        kernel = kernel.T if op.options["AdjY"] else kernel
        shape = b.shape(x)
        if not shape or shape[-1] != kernel.shape[0]:
            raise UncoveredError(f"a matrix of shape {kernel.shape} on {shape}")
        outputs = kernel.shape[1]
        weights = {
            "kernel": np.ascontiguousarray(kernel),
            "bias": np.zeros(outputs, np.float32),
        }
        b.give(op, b.node("dense", (x,), (*shape[:-1], outputs), weights=weights))
        return
    y = _adjoint(b, b.value(op, 1), op.options["AdjY"], "_right")
    one, two = b.shape(x), b.shape(y)
    alike = x.batched == y.batched and len(one) == len(two) >= 2 and one[:-2] == two[:-2]
    if not alike or one[-1] != two[-2]:
        raise UncoveredError(f"matrices of shapes {one} and {two}; expected as many of both")
    b.give(op, b.node("matmul", (x, y), (*one[:-1], two[-1])))


def _adjoint(b: FileBuilder, x: Value, wanted: bool, suffix: str) -> Value:
    """A value with its last two axes swapped, if that is wanted."""
    shape = b.shape(x)
    if not wanted or len(shape) < 2:
        return x
    order = (*range(1, len(shape) - 1), len(shape), len(shape) - 1)
    return b.node("permute", (x,), tuple(shape[k - 1] for k in order), suffix, dims=order)


def transposed_conv(b: FileBuilder, op: Operator) -> None:
    x, kernel = b.value(op, 2), _kernel(b, op, 4)
    height, width, channels = b.image_shape(x)
    outputs, size = kernel.shape[0], kernel.shape[1:3]
    strides, padding = _strides(op), op.options["Padding"]
    if kernel.shape[3] != channels:
        raise UncoveredError(f"a kernel of shape {kernel.shape} on {channels} channels")
    told = b.inner(op.outputs[0], True)
    extra = [0 if padding == "same" else max(k - s, 0) for k, s in zip(size, strides, strict=True)]
    wanted = tuple(n * s + e for n, s, e in zip((height, width), strides, extra, strict=True))
    if told != (*wanted, outputs):
        raise UncoveredError(f"an output of shape {told}; Keras gives {(*wanted, outputs)}")
    common = STORED[op.kind].common(kernel)
    own = LAYOUTS["transposed_conv"].restored(common, (*size, outputs, channels))
    weights = {"kernel": np.ascontiguousarray(own), "bias": _bias(b, op, 3, outputs)}
    y = b.node(
        "transposed_conv", (x,), told, weights=weights, strides=strides, padding=padding,
        input_shape=(height, width, channels),
    )  # fmt: skip
    b.give(op, y)


def _convolved(
    b: FileBuilder, op: Operator, kind: str, x: Value, kernel: NDArray, **config: Any
) -> Value:
    """A convolution with a kernel in the layout of `kind`, before its activation."""
    dilation = (op.options["DilationHFactor"], op.options["DilationWFactor"])
    strides, padding = _strides(op), op.options["Padding"]
    if max(strides) > 1 and max(dilation) > 1:
        raise UncoveredError("strides and dilation together")
    if BORDER in op.options:
        x = padded(b, x, op.options[BORDER], "_pad")
    told = b.inner(op.outputs[0], True)
    shape = _with_axis(op, told)
    channels = math.prod(kernel.shape[axis] for axis in LAYOUTS[kind].channel_axes)
    if len(shape) != 3 or shape[-1] != channels:
        raise UncoveredError(f"an output of shape {shape} for {channels} channels")
    weights = {"kernel": np.ascontiguousarray(kernel), "bias": _bias(b, op, 2, channels)}
    y = b.node(
        kind, (x,), shape, weights=weights, strides=strides, padding=padding, dilation=dilation,
        **config,
    )  # fmt: skip
    if op.options.get(SEQUENCE) == 0:
        return b.sequence(y)
    return b.reshaped(y, told, True, "_sequence")


def _image(b: FileBuilder, op: Operator) -> Value:
    """What a convolution reads, a sequence as an image."""
    x = b.value(op)
    return b.reshaped(x, _with_axis(op, b.shape(x)), x.batched, "_image")


def _with_axis(op: Operator, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape with the axis that makes an image of a sequence, if the operator asks for it."""
    if SEQUENCE not in op.options:
        return shape
    axis = op.options[SEQUENCE]
    return (*shape[:axis], 1, *shape[axis:])


def _kernel(b: FileBuilder, op: Operator, axes: int) -> NDArray[np.float32]:
    """An operator's kernel as it is stored."""
    kernel = b.floats(op, 1, "a kernel")
    if kernel.ndim != axes or 0 in kernel.shape:
        raise UncoveredError(f"a kernel of shape {kernel.shape}")
    return kernel


def _bias(b: FileBuilder, op: Operator, position: int, channels: int) -> NDArray[np.float32]:
    """Its bias [channels]; zeros where it has none."""
    if position >= len(op.inputs) or op.inputs[position] < 0:
        return np.zeros(channels, np.float32)
    bias = b.floats(op, position, "a bias").reshape(-1)
    if bias.size != channels:
        raise UncoveredError(f"a bias of {bias.size} numbers for {channels} channels")
    return np.array(bias)


def _strides(op: Operator) -> tuple[int, int]:
    return op.options["StrideH"], op.options["StrideW"]
