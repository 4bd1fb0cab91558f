"""Lowerings of products of two values, and of attention as the parts that compute it.

A product of two values is a "matmul" node, [..., N, K] by [..., K, M]; what Keras writes as an
equation is brought into that form by permuting and reshaping.
"""

import inspect
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.lowering.builder import Builder
from tfqdyn.network.lowering.linear import array_of
from tfqdyn.network.trace import Call, Slot, UnsupportedModelError

_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_READ = ("query", "key", "value")
_PLAIN = ("training", "inputs", *_READ)
"""Arguments of attention that ask for nothing special."""


def matmul(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    """`keras.ops.matmul` of two values, or of a value and a matrix of constants."""
    left, right = call.arguments[:2]
    if isinstance(left, Slot) and isinstance(right, Slot):
        x, y = inputs[left.index], inputs[right.index]
        first, second = b.shape_of(x), b.shape_of(y)
        if len(first) < 2 or first[:-2] != second[:-2] or len(first) != len(second):
            raise UnsupportedModelError(
                f"layer {call.name!r} multiplies matrices {first} and {second}; expected as many "
                "of both, with the axis of images before"
            )
        return b.node("matmul", (x, y))
    if not isinstance(left, Slot) or np.ndim(right) != 2:
        raise UnsupportedModelError(
            f"layer {call.name!r} multiplies with a constant; expected a value by a matrix"
        )
    return _dense(b, inputs[left.index], array_of(right), None, 1, call.name)


def einsum(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    """`keras.ops.einsum` of two values."""
    operands = [item for item in call.arguments if isinstance(item, Slot)]
    if len(operands) != 2 or len(call.arguments) != 2:
        raise UnsupportedModelError(f"layer {call.name!r}: keras.ops.einsum of two values only")
    x, y = (inputs[item.index] for item in operands)
    return product(b, call.layer.subscripts, x, y, call.name)


def dot(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    """Keras' Dot: one axis of each is summed over, all others are kept."""
    if call.layer.normalize:
        raise UnsupportedModelError(f"layer {call.name!r}: Dot with normalize is not supported")
    x, y = (inputs[item.index] for item in call.arguments[0])
    ranks = [len(b.shape_of(value)) + 1 for value in (x, y)]
    given = call.layer.axes
    axes = [given, given] if isinstance(given, int) else list(given)
    left, right = ("a" + _ALPHABET[1 + 8 * k : 8 * k + rank] for k, rank in enumerate(ranks))
    left, right = (
        own.replace(own[axis % rank], "z")
        for own, axis, rank in zip((left, right), axes, ranks, strict=True)
    )
    out = f"{left}{right[1:]}".replace("z", "")
    value = product(b, f"{left},{right}->{out}", x, y, call.name)
    return _reshaped(b, value, b.shape, f"{call.name}_column")


def einsum_dense(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    """An EinsumDense that sums over the last axes of what it reads."""
    layer, name = call.layer, call.name
    left, right, out = _parsed(layer.equation, name, len(b.shape_of(inputs[0])) + 1)
    summed = "".join(letter for letter in right if letter not in out)
    kept, added = left.removesuffix(summed), right.removeprefix(summed)
    bias = None if layer.bias is None else array_of(layer.bias)
    if (
        not summed
        or (left, right, out) != (kept + summed, summed + added, kept + added)
        or (bias is not None and bias.ndim > len(added))
    ):
        raise UnsupportedModelError(
            f"layer {name!r}: equation {layer.equation!r}; supported are those that sum over the "
            "last axes of what they read and the first of the kernel, with a bias for the axes "
            "that come in, as 'abc,cd->abd'"
        )
    value = _dense(b, inputs[0], array_of(layer.kernel), bias, len(summed), name)
    whole = getattr(layer.activation, "__name__", "") in ("softmax", "log_softmax")
    value = value if whole else b.activated(value, layer.activation)
    value = _reshaped(b, value, b.shape, f"{name}_axes")
    return b.activated(value, layer.activation) if whole else value


def attention(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    """Keras' Attention: softmax(query key^T) value, the key by default the value."""
    layer, name = call.layer, call.name
    _refuse_masks(call)
    if layer.score_mode != "dot":
        raise UnsupportedModelError(f"layer {name!r}: score_mode 'dot' only")
    read = [inputs[item.index] for item in call.arguments[0]]
    query, value, key = read if len(read) == 3 else (*read, read[-1])
    scores = product(b, "abc,adc->abd", query, key, f"{name}_scores")
    if layer.scale is not None:
        scores = b.affine(scores, array_of(layer.scale), 0.0, f"{name}_scale")
    weights = b.activated(scores, "softmax", f"{name}_softmax")
    return product(b, "abd,ade->abe", weights, value, name)


def multi_head_attention(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    """Projections of query, key and value, scores, softmax, context, and the output's projection.

    What is scaled by 1 / sqrt(key_dim) is the scores, or the query where there is a dropout between
    softmax and context, and in Keras 2: as Keras does.
    """
    layer, name = call.layer, call.name
    given = _refuse_masks(call)
    read = {role: inputs[given[role].index] for role in _READ if given.get(role) is not None}
    read.setdefault("key", read["value"])
    axes = tuple(getattr(layer, "_attention_axes", None) or (1,))
    special = [what for what in ("use_gate", "sliding_window") if getattr(layer, f"_{what}", None)]
    if special or axes != (1,) or {len(b.shape_of(value)) for value in read.values()} != {2}:
        raise UnsupportedModelError(
            f"layer {name!r}: attention of sequences [T, C] only, received "
            f"{', '.join(special) or [b.shape_of(value) for value in read.values()]}"
        )
    scale = layer._key_dim**-0.5
    early = layer._dropout > 0 or type(layer).__module__.startswith("tf_keras")
    heads = {}
    for role in _READ:
        part = getattr(layer, f"_{role}_dense")
        value = _dense(b, read[role], *_arrays(part), 1, f"{name}_{role}")
        if role == "query" and early:
            value = b.affine(value, scale, 0.0, f"{name}_scale")
        shape = (b.shape_of(value)[0], *part.kernel.shape[1:])
        heads[role] = _reshaped(b, value, shape, f"{name}_{role}_heads")
    scores = product(b, "abcd,aecd->acbe", heads["query"], heads["key"], f"{name}_scores")
    scores = scores if early else b.affine(scores, scale, 0.0, f"{name}_scale")
    weights = b.activated(scores, "softmax", f"{name}_softmax")
    context = product(b, "acbe,aecd->abcd", weights, heads["value"], f"{name}_context")
    value = _dense(b, context, *_arrays(layer._output_dense), 2, name)
    return _reshaped(b, value, b.shape, f"{name}_axes")


def _arrays(layer: Any) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """A projection's kernel and bias."""
    return array_of(layer.kernel), None if layer.bias is None else array_of(layer.bias)


def refuse_masks(call: Call) -> None:
    """Refuses any layer that is called with a mask, which no rule knows.

    Raises:
        UnsupportedModelError: it is.
    """
    called = getattr(call.layer, "call", None)
    if called is None or "mask" not in inspect.signature(called).parameters:
        return
    if _bound(call).get("mask") is not None:
        raise UnsupportedModelError(
            f"layer {call.name!r} ({call.kind}) with a mask is not supported"
        )


def _bound(call: Call) -> Mapping[str, Any]:
    """A call's arguments by name."""
    count = len(call.arguments) - len(call.keywords)
    named = dict(zip(call.keywords, call.arguments[count:], strict=True))
    signature = inspect.signature(call.layer.call)
    return signature.bind_partial(*call.arguments[:count], **named).arguments


def _refuse_masks(call: Call) -> Mapping[str, Any]:
    """A call's arguments by name, if none of them asks for more than attention."""
    bound = _bound(call)
    asked = [
        name
        for name, value in bound.items()
        if name not in _PLAIN and value is not None and value is not False
    ]
    if asked:
        raise UnsupportedModelError(
            f"layer {call.name!r} ({call.kind}) with {', '.join(asked)} is not supported; without "
            "masks, and without giving its scores, it is"
        )
    return bound


def product(b: Builder, equation: str, x: str, y: str, name: str) -> str:
    """Two values multiplied by an equation as of `einsum`, whose first letter counts images.

    Letters that both have and that the result has not are summed over.
    """
    left, right, out = _parsed(equation, name)
    sizes = dict(zip(left[1:] + right[1:], b.shape_of(x) + b.shape_of(y), strict=True))
    shared = [c for c in left if c in right and c in out][1:]
    summed = [c for c in left if c in right and c not in out]
    rows, columns = ([c for c in own if c not in other] for own, other in
                     ((left, right), (right, left)))  # fmt: skip
    if left[0] != right[0] or out[0] != left[0] or set(out[1:]) != {*shared, *rows, *columns}:
        raise UnsupportedModelError(
            f"layer {name!r}: equation {equation!r}; supported are products of two values, the "
            "axis of images first in both and in the result"
        )
    n, k, m = (prod(sizes[c] for c in group) for group in (rows, summed, columns))
    batch = tuple(sizes[c] for c in shared)
    first = _arranged(b, x, left[1:], [*shared, *rows, *summed], f"{name}_left")
    second = _arranged(b, y, right[1:], [*shared, *summed, *columns], f"{name}_right")
    first = _reshaped(b, first, (*batch, n, k), f"{name}_rows")
    second = _reshaped(b, second, (*batch, k, m), f"{name}_columns")
    value = b.node("matmul", (first, second), name=name, shape=(*batch, n, m))
    letters = [*shared, *rows, *columns]
    value = _reshaped(b, value, tuple(sizes[c] for c in letters), f"{name}_axes")
    return _arranged(b, value, letters, out[1:], f"{name}_order")


def _parsed(equation: str, name: str, rank: int = 0) -> tuple[str, str, str]:
    """The letters of two operands and of the result, "..." as letters of its own.

    `rank` is that of the first operand, where "..." may stand.
    """
    parts = equation.replace(" ", "").replace("->", ",").split(",")
    unnamed = rank + 3 - len(parts[0])
    free = [letter for letter in _ALPHABET.upper() if letter not in equation]
    if "..." in equation and unnamed > 0:
        parts = [part.replace("...", "".join(free[:unnamed])) for part in parts]
    known = len(parts) == 3 and all(
        part.isalpha() and len(set(part)) == len(part) for part in parts
    )
    if not known or (rank and len(parts[0]) != rank):
        raise UnsupportedModelError(f"layer {name!r}: equation {equation!r} is not supported")
    return parts[0], parts[1], parts[2]


def _dense(
    b: Builder, x: str, kernel: NDArray, bias: NDArray | None, summed: int, name: str
) -> str:
    """The product with a kernel, whose first axes are the last of `x`; its other axes as one."""
    flat = kernel.reshape(prod(kernel.shape[:summed]), -1)
    own = np.zeros((), np.float32) if bias is None else bias
    own = np.broadcast_to(own, kernel.shape[summed:]).reshape(-1)
    lead = b.shape_of(x)[: len(b.shape_of(x)) - summed]
    x = _reshaped(b, x, (*lead, flat.shape[0]), f"{name}_flat")
    weights = {"kernel": flat, "bias": np.array(own)}
    return b.node("dense", (x,), name=name, shape=(*lead, flat.shape[1]), weights=weights)


def _reshaped(b: Builder, value: str, shape: tuple[int, ...], name: str) -> str:
    if b.shape_of(value) == shape:
        return value
    return b.node("reshape", (value,), name=name, shape=shape)


def _arranged(b: Builder, value: str, letters: Any, wanted: Any, name: str) -> str:
    """A value with its axes in another order."""
    order = [list(letters).index(letter) for letter in wanted]
    if order == sorted(order):
        return value
    shape = tuple(b.shape_of(value)[k] for k in order)
    return b.node("permute", (value,), name=name, shape=shape, dims=tuple(k + 1 for k in order))
