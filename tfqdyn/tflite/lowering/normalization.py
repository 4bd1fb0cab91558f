"""Layer normalizations that a file holds as several operators, as one.

Which operators they are says `composites`; the numbers among them are epsilon, where it goes into
the root, and the factor and offset of every channel. Whether that is what they compute is tried out
like all else (`agreement`).
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn.tflite import composites
from tfqdyn.tflite.dataflow import Dataflow
from tfqdyn.tflite.file import Operator, TfliteModel
from tfqdyn.tflite.lowering.builder import FileBuilder, UncoveredError

KIND = "layer normalization"
"""What stands for the operators."""


def joined(model: TfliteModel, operators: Iterable[Operator]) -> tuple[Operator, ...]:
    """Operators, those of a layer normalization as one in the last one's place."""
    kept = {op.index: op for op in operators}
    flow: Dataflow | None = None
    for op in tuple(kept.values()):
        if op.kind != "MEAN" or op.index not in kept or not _over_channels(model, op):
            continue
        flow = flow or Dataflow(model)
        found = composites.layer_norm(flow, flow.source(op.inputs[0]))
        if found is None or op.index not in {part.index for part in found}:
            continue
        whole = _whole(flow, op, found)
        if whole is not None and all(part.index in kept for part in found):
            for part in found:
                del kept[part.index]
            kept[whole.index] = whole
    return tuple(kept[index] for index in sorted(kept))


def layer_norm(b: FileBuilder, op: Operator) -> None:
    """The rule of `KIND`."""
    x, o = b.value(op), op.options
    shape = b.shape(x)
    if not x.batched or any(o[role].size not in (1, shape[-1]) for role in ("gamma", "beta")):
        raise UncoveredError(f"a value of shape {shape}")
    weights = {
        role: np.array(np.broadcast_to(o[role].reshape(-1), shape[-1:]), np.float32)
        for role in ("gamma", "beta")
    }
    b.give(op, b.node(
        "layer_norm", (x,), shape, weights=weights, axis=(len(shape),), epsilon=o["epsilon"]
    ))  # fmt: skip


def _over_channels(model: TfliteModel, op: Operator) -> bool:
    if len(op.inputs) < 2 or min(op.inputs[:2]) < 0:
        return False
    axes = model.tensors[op.inputs[1]].data
    rank = len(model.tensors[op.inputs[0]].shape)
    return axes is not None and [int(axis) % max(rank, 1) for axis in axes.reshape(-1)] == [
        rank - 1
    ]


def _whole(flow: Dataflow, first: Operator, found: tuple[Operator, ...]) -> Operator | None:
    """The layer normalization that operators compute; None where their numbers do not fit."""
    epsilon: list[float] = []
    gamma, beta = np.ones(1, np.float32), np.zeros(1, np.float32)
    for op in found:
        number, negative = _number(flow, op)
        if number is None:
            continue
        if any(reader.kind == "RSQRT" for reader in flow.readers(op.outputs[0])):
            epsilon += [float(value) for value in number]
        elif op.kind == "MUL":
            gamma = gamma * number
        else:
            beta = beta - number if negative else beta + number
    if len(epsilon) != 1:
        return None
    options = {"epsilon": epsilon[0], "gamma": gamma, "beta": beta}
    return replace(found[-1], kind=KIND, inputs=(first.inputs[0],), options=options)


def _number(flow: Dataflow, op: Operator) -> tuple[NDArray[np.float32] | None, bool]:
    """The constant that an operator adds or multiplies with, flat, and whether it is subtracted."""
    if op.kind not in ("ADD", "SUB", "MUL"):
        return None, False
    first, second = (flow.constant(op, place) for place in (0, 1))
    stored = first or second
    if stored is None or stored.data is None or stored.data.dtype.kind != "f":
        return None, False
    return np.asarray(stored.data, np.float32).reshape(-1), op.kind == "SUB" and first is None
