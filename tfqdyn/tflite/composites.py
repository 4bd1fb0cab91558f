"""Ops that a file computes by several operators: which ones, and whether they hang together."""

from collections.abc import Collection, Sequence

from tfqdyn.tflite.dataflow import Dataflow
from tfqdyn.tflite.file import Operator

LAYER_NORM = frozenset(("ADD", "MEAN", "MUL", "NEG", "RSQRT", "SQUARED_DIFFERENCE", "SUB"))
"""What TensorFlow's converter makes of a layer normalization: mean, variance, scale and shift."""


def closed(flow: Dataflow, operators: Sequence[Operator], inputs: Collection[int]) -> bool:
    """Whether operators read each other and `inputs` alone, and only the last gives a value on."""
    if not operators:
        return False
    made = {output for op in operators for output in op.outputs}
    read = {source for op in operators for source in flow.inputs(op)}
    return read <= made | set(inputs) and _given_on(flow, operators) == {operators[-1].index}


def _given_on(flow: Dataflow, operators: Sequence[Operator]) -> set[int]:
    """Indices of the operators whose outputs others read, or nobody (which ends the file)."""
    own = {op.index for op in operators}
    found = set()
    for op in operators:
        readers = {reader.index for output in op.outputs for reader in flow.readers(output)}
        if not readers or readers - own:
            found.add(op.index)
    return found


def layer_norm(flow: Dataflow, value: int) -> tuple[Operator, ...] | None:
    """The operators that normalize a value: the first that close after a RSQRT."""
    found: list[Operator] = []
    known = {value}
    for op in flow.operators:
        inputs = flow.inputs(op)
        if op.kind in LAYER_NORM and set(inputs) <= known:
            found.append(op)
            known |= set(op.outputs)
            if any(o.kind == "RSQRT" for o in found) and closed(flow, found, {value}):
                return tuple(found)
    return None
