"""Lowerings of pools, of sums and maxima over axes, and of resizing."""

import math

from tfqdyn.tflite.file import Operator
from tfqdyn.tflite.lowering.builder import FileBuilder, Rule, UncoveredError, Value


def pool(kind: str) -> Rule:
    def rule(b: FileBuilder, op: Operator) -> None:
        x, told = b.value(op), b.inner(op.outputs[0], True)
        b.image_shape(x)
        size = (op.options["FilterHeight"], op.options["FilterWidth"])
        strides = (op.options["StrideH"], op.options["StrideW"])
        if min(*size, *strides) < 1:
            raise UncoveredError(f"a window of {size} and strides of {strides}")
        b.give(op, b.node(
            kind, (x,), told, pool_size=size, strides=strides, padding=op.options["Padding"]
        ))  # fmt: skip

    return rule


def mean(b: FileBuilder, op: Operator) -> None:
    x, axes = _reduced(b, op)
    b.give(op, _over(b, op, x, axes, "mean", "average_pool"))


def maximum(b: FileBuilder, op: Operator) -> None:
    x, axes = _reduced(b, op)
    b.give(op, _over(b, op, x, axes, "global_max", "max_pool"))


def total(b: FileBuilder, op: Operator) -> None:
    x, axes = _reduced(b, op)
    count = math.prod(b.shape(x)[axis] for axis in axes)
    averaged = _over(b, op, x, axes, "mean", "average_pool", "_mean")
    b.give(op, b.affine(averaged, float(count), 0.0))


def _reduced(b: FileBuilder, op: Operator) -> tuple[Value, tuple[int, ...]]:
    """What is reduced, and over which axes of one image."""
    x = b.value(op)
    axes = tuple(sorted({b.axis(x, axis) for axis in b.integers(op, 1, "axes")}))
    if not x.batched or not axes:
        raise UncoveredError(f"axes {axes} of a value of shape {b.shape(x)}")
    return x, axes


def _over(
    b: FileBuilder,
    op: Operator,
    x: Value,
    axes: tuple[int, ...],
    whole: str,
    window: str,
    suffix: str = "",
) -> Value:
    """A reduction over axes of an image: over both by `whole`, over one by a pool."""
    shape, keep = b.shape(x), bool(op.options.get("KeepDims", False))
    if axes[-1] == len(shape) - 1 or len(shape) not in (2, 3):
        raise UncoveredError(f"the reduction over axes {axes} of a value of shape {shape}")
    if len(shape) == 2:  # a sequence, as an image of one column
        x = b.reshaped(x, (shape[0], 1, shape[1]), True, f"{suffix}_column")
        y = b.node(whole, (x,), shape[1:], f"{suffix}_all" if keep else suffix, keepdims=False)
        return b.reshaped(y, (1, shape[1]), True, suffix) if keep else y
    height, width, channels = b.image_shape(x)
    if axes == (0, 1):
        if shape[:2] == (1, 1):  # of one pixel
            return b.reshaped(x, (1, 1, channels) if keep else (channels,), True, suffix)
        end = (1, 1, channels) if keep else (channels,)
        return b.node(whole, (x,), end, suffix, keepdims=keep)
    size = (height, 1) if axes == (0,) else (1, width)
    end = tuple(1 if axis in axes else n for axis, n in enumerate(shape))
    name = suffix if keep else f"{suffix}_window"
    y = b.node(window, (x,), end, name, pool_size=size, strides=size, padding="valid")
    flat = tuple(n for axis, n in enumerate(shape) if axis not in axes)
    return y if keep else b.reshaped(y, flat, True, suffix)


def resize(interpolation: str) -> Rule:
    def rule(b: FileBuilder, op: Operator) -> None:
        x, told = b.value(op), b.inner(op.outputs[0], True)
        height, width, channels = b.image_shape(x)
        size = b.integers(op, 1, "a size")
        if len(size) != 2 or min(size) < 1:
            raise UncoveredError(f"a size of {size}")
        align = bool(op.options.get("AlignCorners", False))
        centers = bool(op.options.get("HalfPixelCenters", False))
        if told == b.shape(x) and size == (height, width):
            b.give(op, x)
            return
        times = (size[0] // height, size[1] // width)
        whole = (times[0] * height, times[1] * width) == size
        if whole and not align and (centers or interpolation == "nearest"):
            y = b.node("upsample", (x,), told, size=times, interpolation=interpolation)
        else:
            y = b.node(
                "resize", (x,), (*size, channels), interpolation=interpolation,
                align_corners=align, half_pixel_centers=centers,
            )  # fmt: skip
        b.give(op, y)

    return rule
