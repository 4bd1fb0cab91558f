"""Multiply-accumulates and parameters of any Keras CNN, by layer: `sum(macs(model).values())`.

MACs are those of convolutions and dense layers for one image; what has no kernel counts 0, and a
layer called several times counts every call. Works on layers that the analysis does not support.
"""

from math import prod
from typing import Any

from tfqdyn.trace import Call, trace


def macs(model: Any) -> dict[str, int]:
    """MACs of every layer with a kernel, in graph order.

    Raises:
        UnsupportedModelError: not a functional or sequential model with one input and one output.
        ValueError: a layer's output size is not fixed.
    """
    calls = trace(model)
    found: dict[str, int] = {}
    for call in calls:
        count = _macs_of(call)
        if count:
            found[call.layer.name] = found.get(call.layer.name, 0) + count
    return found


def params(model: Any) -> dict[str, int]:
    """Parameters of every layer that has any, batch norm statistics included, in graph order."""
    return {
        call.layer.name: call.layer.count_params()
        for call in trace(model)
        if hasattr(call.layer, "count_params") and call.layer.count_params()
    }


def _macs_of(call: Call) -> int:
    layer, kind = call.layer, call.kind
    if "Conv" not in kind and "Dense" not in kind:
        return 0
    if None in call.output_shape:
        raise ValueError(
            f"layer {call.name!r} has no fixed output size {call.output_shape}; give the model an "
            "Input of fixed size"
        )
    shape = [size for size in call.output_shape if size is not None]
    outputs = prod(shape)
    if kind.startswith("SeparableConv"):
        positions = prod(shape[:-1])
        return positions * (prod(layer.depthwise_kernel.shape) + prod(layer.pointwise_kernel.shape))
    if kind.startswith("DepthwiseConv"):
        kernel = getattr(layer, "depthwise_kernel", None)
        kernel = layer.kernel if kernel is None else kernel
        return outputs * prod(kernel.shape[:-2])
    if kind.endswith("Transpose"):  # every input value meets the whole kernel of its channel
        read = layer.input.shape[1:]
        return prod(read[:-1]) * prod(layer.kernel.shape)
    return outputs * prod(layer.kernel.shape[:-1])
