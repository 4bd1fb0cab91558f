"""Lowerings of activations, of merges, and of arithmetic with constants."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.lowering.builder import Builder, by_channel
from tfqdyn.network.lowering.linear import array_of
from tfqdyn.network.trace import Call, Slot, UnsupportedModelError


def activation(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.activated(inputs[0], call.layer.activation, call.name)


def named_activation(kind: str) -> Callable[[Builder, Call, tuple[str, ...]], str]:
    def lowering(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
        if getattr(call.layer, "axis", -1) not in (-1, len(b.shape)):
            raise UnsupportedModelError(f"layer {call.name!r}: {kind} over the last axis only")
        return b.activated(inputs[0], kind, call.name)

    return lowering


def keras_activation(kind: str) -> Callable[[Builder, Call, tuple[str, ...]], str]:
    return lambda b, call, inputs: b.keras_activation(inputs[0], kind, call.layer)


def relu(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    top = getattr(layer, "max_value", None)
    slope, threshold = getattr(layer, "negative_slope", 0.0), getattr(layer, "threshold", 0.0)
    if threshold or (slope and top is not None):
        raise UnsupportedModelError(f"layer {call.name!r}: ReLU with a threshold is not supported")
    if slope:
        return b.node("leaky_relu", inputs, alpha=float(slope))
    return b.node("relu", inputs, max_value=None if top is None else float(top))


def leaky_relu(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    slope = getattr(call.layer, "negative_slope", getattr(call.layer, "alpha", None))
    return b.node("leaky_relu", inputs, alpha=float(np.asarray(slope)))


def prelu(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.node("prelu", inputs, weights={"alpha": array_of(call.layer.alpha)})


def _operands(call: Call) -> list[Any]:
    """What a merge or an arithmetic operation reads: `Slot`s and numbers."""
    given = call.arguments
    operands = given[0] if given and isinstance(given[0], list) else list(given[:2])
    return [item for item in operands if item is not None]


def merge(op: str) -> Callable[[Builder, Call, tuple[str, ...]], str]:
    def lowering(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
        operands = _operands(call)
        if all(isinstance(item, Slot) for item in operands):
            value = inputs[operands[0].index]
            for n, item in enumerate(operands[1:], start=2):
                name = call.name if n == len(operands) else f"{call.name}_of_{n}"
                pair = (value, inputs[item.index])
                shape = tuple(map(max, b.shape_of(pair[0]), b.shape_of(pair[1])))
                value = b.node(op, pair, name=name, shape=shape)
            return value
        return _with_constant(b, call, op, operands, inputs[0])

    return lowering


def _with_constant(b: Builder, call: Call, op: str, operands: list[Any], value: str) -> str:
    """Arithmetic of a tensor and a constant, as an affine node."""
    first = isinstance(operands[0], Slot)
    constant = array_of(operands[1] if first else operands[0])
    known = ("add", "subtract", "multiply", "divide", "minimum")
    shape = b.shape_of(value)
    seen = by_channel(shape, constant)
    if seen is None or op not in known:
        raise UnsupportedModelError(
            f"layer {call.name!r}: {op} of a tensor {shape} and a constant of shape "
            f"{constant.shape} is not supported; one number, or one per channel, or one per "
            "place and channel, is"
        )
    flat, constant = seen
    if flat != shape:
        value = b.node("reshape", (value,), name=f"{call.name}_flat", shape=flat)
        value = _affine(b, call, op, value, constant, first)
        return b.node("reshape", (value,), name=f"{call.name}_axes", shape=shape)
    return _affine(b, call, op, value, constant, first)


def _affine(
    b: Builder, call: Call, op: str, value: str, constant: NDArray[np.float32], first: bool
) -> str:
    """Arithmetic of a tensor (`first`, or second) and a constant, one number or one per channel."""
    if op == "minimum":
        shape = b.shape_of(value)
        cap = np.broadcast_to(constant, shape[-1:])
        return b.node("cap", (value,), shape=shape, weights={"cap": cap})
    if op == "add":
        return b.affine(value, 1.0, constant)
    if op == "subtract":
        return b.affine(value, 1.0, -constant) if first else b.affine(value, -1.0, constant)
    if op == "multiply":
        return b.affine(value, constant, 0.0)
    if not first:
        raise UnsupportedModelError(f"layer {call.name!r} divides by a tensor; not supported")
    return b.affine(value, 1.0 / constant, 0.0)


def average(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    if hasattr(call.layer, "axis"):
        raise UnsupportedModelError(f"layer {call.name!r}: keras.ops.average is not supported")
    value = inputs[0]
    for n, other in enumerate(inputs[1:], start=2):
        value = b.node("add", (value, other), name=f"{call.name}_sum_{n}")
    return b.affine(value, 1.0 / len(inputs), 0.0)


def scaled_residual(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    scaled = b.affine(inputs[1], call.layer.scale, 0.0, f"{call.name}_scale")
    return b.node("add", (inputs[0], scaled))
