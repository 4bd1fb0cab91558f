"""Lowerings of pooling, of concatenation, and of layers that only move values.

Those of sequences are those of images of height 1, see `builder`.
"""

from collections.abc import Callable
from math import prod
from typing import Any

from tfqdyn.network.lowering.builder import Builder
from tfqdyn.network.lowering.linear import wide
from tfqdyn.network.trace import Call, UnsupportedModelError


def concatenate(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    rank = len(b.shape) + 1
    return b.node("concatenate", inputs, axis=call.layer.axis % rank)


def pool(op: str) -> Callable[[Builder, Call, tuple[str, ...]], str]:
    def lowering(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
        layer = call.layer
        size, strides = wide(layer.pool_size), wide(layer.strides)
        return b.sliding(op, inputs[0], pool_size=size, strides=strides, padding=layer.padding)

    return lowering


def global_pool(op: str) -> Callable[[Builder, Call, tuple[str, ...]], str]:
    def lowering(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
        read, keep = b.shape_of(inputs[0]), bool(call.layer.keepdims)
        if set(read[:-1]) == {1}:  # of one pixel
            return b.node("reshape", inputs)
        if len(read) == 2 and keep:
            return b.sliding(op, inputs[0], keepdims=True)
        return b.node(op, (b.image(inputs[0]),), keepdims=keep)

    return lowering


def pad(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.sliding("pad", inputs[0], padding=_both_axes(call.layer.padding))


def _both_axes(ends: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """(before, after) of height and width, of an image's or of a sequence's."""
    if isinstance(ends[0], int):
        return (0, 0), (ends[0], ends[1])
    return (ends[0][0], ends[0][1]), (ends[1][0], ends[1][1])


def pad_axes(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    """`keras.ops.pad` with zeros, of an image's border or a sequence's ends, and of channels."""
    widths = [tuple(map(int, pair)) for pair in call.layer.pad_width]
    if call.layer.mode != "constant" or any(call.arguments[1:]) or len(widths) != len(b.shape) + 1:
        raise UnsupportedModelError(f"layer {call.name!r} pads with something else than zeros")
    if any(map(any, widths[:-1])) and (len(widths) not in (3, 4) or any(widths[0])):
        raise UnsupportedModelError(f"layer {call.name!r} pads other axes than an image's")
    value, (before, after) = inputs[0], widths[-1]
    if any(map(any, widths[1:-1])):
        shape = (*b.shape[:-1], b.shape_of(value)[-1])
        ends = widths[1:3] if len(widths) == 4 else widths[1]
        value = b.sliding("pad", value, shape=shape, padding=_both_axes(ends))
    if before or after:
        value = b.node("pad_channels", (value,), before=before, after=after)
    return value


def crop(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.sliding("crop", inputs[0], cropping=_both_axes(call.layer.cropping))


def reshape(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    if prod(b.shape) != prod(b.shape_of(inputs[0])):
        raise UnsupportedModelError(f"layer {call.name!r} ({call.kind}) moves the axis of images")
    return b.node("reshape", inputs)


def transpose(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    """`keras.ops.transpose` of all axes but that of images."""
    axes = call.layer.axes
    return _permuted(b, call, inputs, [] if axes is None else [int(axis) for axis in axes])


def swap_axes(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    """`keras.ops.swapaxes`."""
    rank = len(b.shape) + 1
    order = list(range(rank))
    one, other = call.layer.axis1 % rank, call.layer.axis2 % rank
    order[one], order[other] = other, one
    return _permuted(b, call, inputs, order)


def _permuted(b: Builder, call: Call, inputs: tuple[str, ...], order: list[int]) -> str:
    order = [axis % len(order) for axis in order]
    if order[:1] != [0]:
        raise UnsupportedModelError(f"layer {call.name!r} ({call.kind}) moves the axis of images")
    return b.node("permute", inputs, dims=tuple(order[1:]))


def permute(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.node("permute", inputs, dims=tuple(call.layer.dims))


def upsampling(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    interpolation = getattr(layer, "interpolation", "nearest")
    if interpolation not in ("nearest", "bilinear"):
        raise UnsupportedModelError(
            f"layer {call.name!r}: interpolation {interpolation!r}; supported are nearest, bilinear"
        )
    size = (layer.size,) if isinstance(layer.size, int) else layer.size
    return b.sliding("upsample", inputs[0], size=wide(size), interpolation=interpolation)
