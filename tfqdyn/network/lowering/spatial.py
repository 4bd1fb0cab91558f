"""Lowerings of pooling, of concatenation, and of layers that only move values."""

from collections.abc import Callable

from tfqdyn.network.lowering.builder import Builder
from tfqdyn.network.trace import Call, UnsupportedModelError


def concatenate(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    rank = len(b.shape) + 1
    return b.node("concatenate", inputs, axis=call.layer.axis % rank)


def pool(op: str) -> Callable[[Builder, Call, tuple[str, ...]], str]:
    def lowering(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
        layer = call.layer
        size, strides = tuple(layer.pool_size), tuple(layer.strides)
        return b.node(op, inputs, pool_size=size, strides=strides, padding=layer.padding)

    return lowering


def global_pool(op: str) -> Callable[[Builder, Call, tuple[str, ...]], str]:
    def lowering(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
        if b.shape_of(inputs[0])[:2] == (1, 1):  # of one pixel
            return b.node("reshape", inputs)
        return b.node(op, inputs, keepdims=bool(call.layer.keepdims))

    return lowering


def pad(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.node("pad", inputs, padding=tuple(map(tuple, call.layer.padding)))


def pad_axes(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    """`keras.ops.pad` with zeros, of an image's border and of channels."""
    widths = [tuple(map(int, pair)) for pair in call.layer.pad_width]
    if call.layer.mode != "constant" or any(call.arguments[1:]) or len(widths) != len(b.shape) + 1:
        raise UnsupportedModelError(f"layer {call.name!r} pads with something else than zeros")
    if any(map(any, widths[:-1])) and (len(widths) != 4 or any(widths[0])):
        raise UnsupportedModelError(f"layer {call.name!r} pads other axes than an image's")
    value, (before, after) = inputs[0], widths[-1]
    if any(map(any, widths[1:-1])):
        shape = (*b.shape[:-1], b.shape_of(value)[-1])
        value = b.node("pad", (value,), shape=shape, padding=tuple(widths[1:3]))
    if before or after:
        value = b.node("pad_channels", (value,), before=before, after=after)
    return value


def crop(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.node("crop", inputs, cropping=tuple(map(tuple, call.layer.cropping)))


def reshape(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.node("reshape", inputs)


def permute(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.node("permute", inputs, dims=tuple(call.layer.dims))


def upsampling(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    if layer.interpolation not in ("nearest", "bilinear"):
        raise UnsupportedModelError(
            f"layer {call.name!r}: interpolation {layer.interpolation!r}; supported are nearest, "
            "bilinear"
        )
    return b.node("upsample", inputs, size=tuple(layer.size), interpolation=layer.interpolation)
