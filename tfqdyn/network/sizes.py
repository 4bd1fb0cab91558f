"""Multiply-accumulates and parameters of any Keras CNN, by layer: `sum(macs(model).values())`.

MACs are those of convolutions, dense layers and recurrent cells for one image; what has no kernel
counts 0, and a layer called several times counts every call. Works on layers that the analysis does
not support; a layer with a kernel that no rule counts is named by `uncounted`.

Layers go by their names in the model; where two layers have one name (in nested models), the
second is called name_call_2, as in `trace`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from tfqdyn.network.trace import Call, trace

ELEMENTWISE = (
    "BatchNormalization",
    "Embedding",
    "GroupNormalization",
    "LayerNormalization",
    "Normalization",
    "PReLU",
)
"""Layers that use each of their weights on one value at a time: none of them is a kernel."""


def macs(model: Any) -> dict[str, int]:
    """MACs of every layer with a kernel, in graph order; see `uncounted` for what is missing.

    Raises:
        UnsupportedModelError: not a functional or sequential model.
        ValueError: a size that a layer reads or gives is not fixed.
    """
    calls = trace(model).calls
    shapes = {call.name: call.output_shape for call in calls}
    names = _names(calls)
    found: dict[str, int] = {}
    for call in calls:
        rule = _rule(call)
        if rule is None:
            continue
        name = names[id(call.layer)]
        found[name] = found.get(name, 0) + rule(call, _fixed(call, shapes[call.inputs[0]]))
    return found


def params(model: Any) -> dict[str, int]:
    """Parameters of every layer that has any, batch norm statistics included, in graph order."""
    calls = trace(model).calls
    names = _names(calls)
    counted = {
        names[id(call.layer)]: call.layer.count_params()
        for call in calls
        if hasattr(call.layer, "count_params")
    }
    return {name: count for name, count in counted.items() if count}


def uncounted(model: Any) -> dict[str, str]:
    """Layers that multiply by a kernel and that `macs` leaves out: their classes, by name."""
    calls = trace(model).calls
    names = _names(calls)
    return {
        names[id(call.layer)]: call.kind
        for call in calls
        if _rule(call) is None
        and call.kind not in ELEMENTWISE
        and any(len(weight.shape) > 1 for weight in getattr(call.layer, "weights", ()))
    }


def _names(calls: Sequence[Call]) -> Mapping[int, str]:
    """The name of every layer: that of its first call."""
    found: dict[int, str] = {}
    for call in calls:
        found.setdefault(id(call.layer), call.name)
    return found


Rule = Callable[[Call, Sequence[int]], int]
"""MACs of a call, from the call and the shape (without the batch axis) that it reads."""


def _rule(call: Call) -> Rule | None:
    """What counts a call; None for layers without a kernel, and for those of unknown kinds."""
    if call.kind in _WRAPPERS:
        return _RULES[call.kind] if _rule(_wrapped(call)) else None
    return _RULES.get(call.kind)


def _wrapped(call: Call) -> Call:
    """The call of the layer inside a wrapper."""
    return replace(call, layer=call.layer.layer)


def _every_output(call: Call, read: Sequence[int]) -> int:
    """Every output value is a sum over the whole kernel but its output channels."""
    return prod(_fixed(call, call.output_shape)) * prod(call.layer.kernel.shape[:-1])


def _depthwise(call: Call, read: Sequence[int]) -> int:
    """Every output value is a sum over one channel's window."""
    kernel = getattr(call.layer, "depthwise_kernel", None)
    kernel = call.layer.kernel if kernel is None else kernel
    return prod(_fixed(call, call.output_shape)) * prod(kernel.shape[:-2])


def _separable(call: Call, read: Sequence[int]) -> int:
    """Every output position meets both kernels."""
    kernels = (call.layer.depthwise_kernel, call.layer.pointwise_kernel)
    positions = prod(_fixed(call, call.output_shape[:-1]))
    return positions * sum(prod(kernel.shape) for kernel in kernels)


def _transposed(call: Call, read: Sequence[int]) -> int:
    """Every input value meets the whole kernel of its channel."""
    return prod(read[:-1]) * prod(call.layer.kernel.shape)


def _einsum(call: Call, read: Sequence[int]) -> int:
    """One for every combination of the equation's indices; the batch's counts once."""
    first, second = call.layer.equation.split("->")[0].split(",")
    before, _, after = first.partition("...")
    whole = (1, *read)
    unnamed = range(len(whole) - len(before) - len(after))
    sizes = dict(zip((*before, *unnamed, *after), whole))
    return prod((sizes | dict(zip(second, call.layer.kernel.shape))).values())


def _recurrent(call: Call, read: Sequence[int]) -> int:
    """At every step every position meets the cell's two kernels."""
    layer = call.layer
    cell = getattr(layer, "cell", layer)
    written = call.output_shape[1:] if layer.return_sequences else call.output_shape
    kernels = prod(cell.kernel.shape) + prod(cell.recurrent_kernel.shape)
    return read[0] * prod(_fixed(call, written[:-1])) * kernels


def _at_every_step(call: Call, read: Sequence[int]) -> int:
    """The wrapped layer at every step."""
    inner = replace(_wrapped(call), output_shape=call.output_shape[1:])
    rule = _rule(inner)
    assert rule is not None
    return read[0] * rule(inner, read[1:])


def _same(call: Call, read: Sequence[int]) -> int:
    """The wrapped layer, whose kernel the wrapper only rescales."""
    rule = _rule(_wrapped(call))
    assert rule is not None
    return rule(_wrapped(call), read)


def _fixed(call: Call, shape: Sequence[int | None]) -> tuple[int, ...]:
    """A shape all of whose sizes are known."""
    fixed = tuple(size for size in shape if size is not None)
    if len(fixed) < len(shape):
        raise ValueError(
            f"layer {call.name!r} reads or gives a size that is not fixed, {tuple(shape)}; give "
            "the model an Input of fixed size"
        )
    return fixed


_WRAPPERS = ("SpectralNormalization", "TimeDistributed")
_RULES: Mapping[str, Rule] = {
    "Conv1D": _every_output,
    "Conv1DTranspose": _transposed,
    "Conv2D": _every_output,
    "Conv2DTranspose": _transposed,
    "Conv3D": _every_output,
    "Conv3DTranspose": _transposed,
    "ConvLSTM1D": _recurrent,
    "ConvLSTM2D": _recurrent,
    "ConvLSTM3D": _recurrent,
    "Dense": _every_output,
    "DepthwiseConv1D": _depthwise,
    "DepthwiseConv2D": _depthwise,
    "EinsumDense": _einsum,
    "GRU": _recurrent,
    "LSTM": _recurrent,
    "SeparableConv1D": _separable,
    "SeparableConv2D": _separable,
    "SimpleRNN": _recurrent,
    "SpectralNormalization": _same,
    "TimeDistributed": _at_every_step,
}
