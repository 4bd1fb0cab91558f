"""Lowerings of activations, and of arithmetic with constants and between values."""

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.lowering.builder import by_channel
from tfqdyn.tflite.file import Operator
from tfqdyn.tflite.lowering.builder import FileBuilder, Rule, UncoveredError, Value


def activation(kind: str) -> Rule:
    """One of Keras' activations, without parameters."""
    return lambda b, op: b.give(op, b.activated(b.value(op), kind, ""))


def clip(low: float, high: float) -> Rule:
    return lambda b, op: b.give(op, b.clipped(b.value(op), low, high))


def leaky_relu(b: FileBuilder, op: Operator) -> None:
    x = b.value(op)
    b.give(op, b.node("leaky_relu", (x,), b.shape(x), alpha=float(op.options.get("Alpha", 0.0))))


def prelu(b: FileBuilder, op: Operator) -> None:
    x, alpha = b.value(op), b.floats(op, 1, "slopes")
    shape = b.shape(x)
    if alpha.ndim == len(shape) + 1 and alpha.shape[0] == 1 and x.batched:
        alpha = alpha[0]
    if alpha.ndim > len(shape):
        raise UncoveredError(f"slopes of shape {alpha.shape} on {shape}")
    alpha = alpha.reshape((1,) * (len(shape) - alpha.ndim) + alpha.shape)
    if any(n not in (1, size) for n, size in zip(alpha.shape, shape, strict=True)):
        raise UncoveredError(f"slopes of shape {alpha.shape} on {shape}")
    b.give(op, b.node("prelu", (x,), shape, weights={"alpha": np.array(alpha)}))


def gelu(b: FileBuilder, op: Operator) -> None:
    x, approximate = b.value(op), bool(op.options.get("Approximate", False))
    b.give(op, b.node("gelu", (x,), b.shape(x), approximate=approximate))


def elu(b: FileBuilder, op: Operator) -> None:
    x = b.value(op)
    b.give(op, b.node("elu", (x,), b.shape(x), alpha=1.0))


def softmax(b: FileBuilder, op: Operator) -> None:
    x = b.affine(b.value(op), op.options.get("Beta", 1.0), 0.0, "_scaled")
    b.give(op, b.activated(x, "softmax", ""))


def negative(b: FileBuilder, op: Operator) -> None:
    b.give(op, b.affine(b.value(op), -1.0, 0.0))


def square(b: FileBuilder, op: Operator) -> None:
    x = b.value(op)
    b.give(op, b.node("multiply", (x, x), b.shape(x)))


def squared_difference(b: FileBuilder, op: Operator) -> None:
    first, second = _aligned(b, b.value(op, 0), b.value(op, 1))
    shape = _broadcast(b, first, second)
    apart = b.node("subtract", (first, second), shape, "_difference")
    b.give(op, b.node("multiply", (apart, apart), shape))


def binary(kind: str) -> Rule:
    """ADD and the like: between two values, or an affine map where one side is a constant."""

    def rule(b: FileBuilder, op: Operator) -> None:
        if b.is_value(op, 0) and b.is_value(op, 1):
            first, second = _aligned(b, b.value(op, 0), b.value(op, 1))
            b.give(op, b.node(kind, (first, second), _broadcast(b, first, second)))
            return
        first = b.is_value(op, 0)
        x = b.value(op, 0 if first else 1)
        constant = b.floats(op, 1 if first else 0, "an operand")
        shape = b.shape(x)
        flat, constant = _with_channels(b, x, constant)
        y = _with_constant(b, kind, flat, constant, first)
        b.give(op, b.reshaped(y, shape, x.batched, "_axes"))

    return rule


def _with_constant(b: FileBuilder, kind: str, x: Value, c: NDArray, first: bool) -> Value:
    """`x` first, or second, and a constant [channels]."""
    if kind == "add":
        return b.affine(x, 1.0, c)
    if kind == "multiply":
        return b.affine(x, c, 0.0)
    if kind == "subtract":
        return b.affine(x, 1.0, -c) if first else b.affine(x, -1.0, c)
    if kind == "divide" and first:
        if not np.all(c != 0):
            raise UncoveredError("a division by zero")
        return b.affine(x, 1.0 / c.astype(np.float64), 0.0)
    if kind == "maximum":
        if np.all(c == c[0]):
            return b.clipped(x, float(c[0]), None)
        cut = b.activated(b.affine(x, 1.0, -c, "_shift"), "relu")
        return b.affine(cut, 1.0, c)
    if kind == "minimum":
        return _capped(b, x, c)
    raise UncoveredError("a constant divided by a value")


def _capped(b: FileBuilder, x: Value, cap: NDArray) -> Value:
    """The smaller of a value and a constant; behind a ReLU, that ReLU with an upper bound."""
    before = b.node_of(x)
    same = bool(np.all(cap == cap[0]))
    if same and cap[0] > 0 and before.op == "relu" and before.config["max_value"] is None:
        read = Value(before.inputs[0], x.batched)
        return b.node("relu", (read,), b.shape(x), max_value=float(cap[0]))
    return b.node("cap", (x,), b.shape(x), weights={"cap": np.array(cap)})


def _with_channels(b: FileBuilder, x: Value, constant: NDArray) -> tuple[Value, NDArray]:
    """A value in the shape in which a constant has one number per channel, and these numbers."""
    shape = b.shape(x)
    seen = by_channel(shape, constant)
    if seen is None:
        raise UncoveredError(
            f"a constant of shape {constant.shape} with a value of {shape}; one number, or one "
            "per channel, or one per place and channel, is covered"
        )
    flat, numbers = seen
    numbers = np.broadcast_to(numbers, flat[-1:])
    before = b.node_of(x)
    if flat != shape and before.op == "reshape" and b.shape(Value(before.inputs[0])) == flat:
        return Value(before.inputs[0], x.batched), numbers
    return b.reshaped(x, flat, x.batched, "_flat"), numbers


def _aligned(b: FileBuilder, first: Value, second: Value) -> tuple[Value, Value]:
    """Two values with as many axes, those missing put in front, as TFLite broadcasts."""
    sides = [first, second]
    full = [len(b.shape(v)) + v.batched for v in sides]
    rank = max(full)
    if full[0] == full[1] and first.batched == second.batched:
        return first, second
    if b.images != 1:
        raise UncoveredError("operands of unlike ranks, in a file of several images")
    batched = any(v.batched for v, n in zip(sides, full, strict=True) if n == rank)
    for k, value in enumerate(sides):
        shape = (1,) * (rank - full[k]) + ((1,) if value.batched else ()) + b.shape(value)
        if batched and shape[0] != 1:
            raise UncoveredError("operands one of which has no axis of images")
        inner = shape[1:] if batched else shape
        sides[k] = b.reshaped(value, inner, batched, f"_operand_{k + 1}")
    return sides[0], sides[1]


def _broadcast(b: FileBuilder, first: Value, second: Value) -> tuple[int, ...]:
    """The shape that two values come to."""
    one, two = b.shape(first), b.shape(second)
    if any(n != m and 1 not in (n, m) for n, m in zip(one, two, strict=True)):
        raise UncoveredError(f"operands of shapes {one} and {two}")
    return tuple(max(n, m) for n, m in zip(one, two, strict=True))
