"""Matched steps as rows of the layer table: what each is, its weights, how the file holds it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from tfqdyn.filepair.constants import is_weights
from tfqdyn.filepair.flow import MOVERS, Flow
from tfqdyn.filepair.matching import Match, Matching
from tfqdyn.filepair.side import Side
from tfqdyn.measurement.layerstats import WeightStats, weight_stats
from tfqdyn.network.graph import LayerNode
from tfqdyn.network.ops import OPS
from tfqdyn.numerics.grid import QuantParams
from tfqdyn.numerics.layouts import STORED
from tfqdyn.quantization.converted import kernel_grid
from tfqdyn.quantization.deployed import Format
from tfqdyn.tflite.dataflow import real_values
from tfqdyn.tflite.file import Operator, Tensor

_KINDS = {
    op.operators[0]: name
    for name, op in OPS.items()
    if len(op.operators) == 1 and not op.has_kernel
} | {"AVERAGE_POOL_2D": "average_pool"}
"""What the layer table calls operators without a kernel that have one name there."""


@dataclass(frozen=True, eq=False)
class Row:
    """One row of the layer table.

    Attributes:
        node: what it is.
        step: what computes it in the float file.
        reference, quantized: the values that hold it in the two files.
        params: the quantized value's grid; None where it is in floats.
        held: how the quantized file holds its output and kernel.
    """

    node: LayerNode
    step: Operator
    reference: int
    quantized: int
    params: QuantParams | None
    held: Format


def rows_of(
    found: Matching, names: Mapping[int, str], reference: Side, quantized: Side
) -> tuple[list[Row], dict[str, str]]:
    """The rows of all matched steps that compute real numbers, in the float file's order.

    Args:
        found: what the walk found.
        names: of the float file's steps.
        reference, quantized: the two files, tried.

    Returns:
        The rows, and the steps whose values cannot be held against each other, with the reason.
    """
    rows: list[Row] = []
    apart: dict[str, str] = {}
    owners = {port.tensor: port.name for port in reference.inputs}
    numbers = 0
    for step in found.reference.steps:
        match = found.matches.get(step.index)
        if match is None or step.kind in MOVERS:
            continue
        for place, (ours, theirs) in enumerate(match.values):
            name = names[step.index] if place == 0 else f"{names[step.index]}:{place}"
            if not found.reference.is_numeric(ours):
                continue
            problem = _incomparable(ours, theirs, reference, quantized)
            if problem is not None:
                apart[name] = f"{step.kind}: {problem}"
                continue
            owns = bool(_weights(found.reference, step)) and place == 0
            numbers += owns
            owners[ours] = name
            node = _node(step, name, ours, numbers if owns else None, found, owners, reference)
            params = quantized.tensor(theirs).params
            rows.append(Row(node, step, ours, theirs, params, _format(match, found, theirs)))
    return rows, apart


def _incomparable(ours: int, theirs: int, reference: Side, quantized: Side) -> str | None:
    """Why the values of two tensors cannot be compared place by place, if they cannot."""
    shapes = []
    for side, value in ((reference, ours), (quantized, theirs)):
        assert side.shapes is not None, "the files are tried"
        if value not in side.shapes:
            return f"the interpreter keeps no values of it in the {side.which} file"
        if side.fixed is not None and side.fixed > 1 and side.shapes[value][:1] != (side.fixed,):
            return f"the {side.which} file mixes the samples of a batch there"
        shapes.append([size for size in side.sample_shape(value) if size != 1])
    if shapes[0] != shapes[1]:
        return f"its values have the shape {shapes[0]} in one file and {shapes[1]} in the other"
    if 0 in shapes[0]:
        return "it has no values"
    params = quantized.tensor(theirs).params
    if params is not None and params.axis is not None:
        return "its values have a grid for every channel"
    return None


def _weights(flow: Flow, step: Operator) -> dict[int, Tensor]:
    """The weights of a step, by their position among its inputs."""
    constants = flow.constants(step)
    return {p: t for p, t in constants.items() if is_weights(step, p, t)}


def _node(
    step: Operator,
    name: str,
    value: int,
    number: int | None,
    found: Matching,
    owners: Mapping[int, str],
    reference: Side,
) -> LayerNode:
    flow = found.reference
    shape = reference.sample_shape(value) or (1,)
    producers = [_owner(flow, argument, owners) for argument in flow.arguments(step)]
    held = flow.constants(step).values()
    return LayerNode(
        number=number,
        name=name,
        kind=_kind(flow, step),
        output=name,
        producers=tuple(dict.fromkeys(p for p in producers if p is not None)),
        output_shape=shape,
        has_kernel=number is not None,
        macs=_macs(flow, step, shape, reference) if number is not None else 0,
        params=sum(t.data.size for t in held if t.data is not None and t.data.dtype.kind == "f"),
    )


def _owner(flow: Flow, value: int, owners: Mapping[int, str]) -> str | None:
    """The row or input that a value comes from, across steps without a row."""
    while value not in owners:
        maker = flow.maker(value)
        arguments = () if maker is None else flow.arguments(maker)
        if not arguments:
            return None
        value = arguments[0]
    return owners[value]


def _kind(flow: Flow, step: Operator) -> str:
    """What the layer table calls a step, see `graph.LayerNode`."""
    kernel = _weights(flow, step).get(1)
    if kernel is None or step.kind not in (*STORED, "BATCH_MATMUL"):
        return _KINDS.get(step.kind, step.kind.lower())
    if step.kind == "CONV_2D":
        (given, *_) = flow.arguments(step) or (None,)
        shape = () if given is None else flow.model.tensors[given].shape
        if len(shape) == 4 and shape[-1] != kernel.shape[-1]:
            return "group"
        return "pointwise" if kernel.shape[1:3] == (1, 1) else "conv"
    if step.kind == "DEPTHWISE_CONV_2D":
        return "depthwise"
    return "transposed_conv" if step.kind == "TRANSPOSE_CONV" else "dense"


def _macs(flow: Flow, step: Operator, shape: tuple[int, ...], reference: Side) -> int:
    """Multiply-accumulates of a convolution or matrix product with stored weights; else 0."""
    kernel = _weights(flow, step).get(1)
    if kernel is None:
        return 0
    if step.kind in ("CONV_2D", "FULLY_CONNECTED"):
        return prod(shape) * prod(kernel.shape[1:])
    if step.kind == "DEPTHWISE_CONV_2D":
        return prod(shape) * prod(kernel.shape[1:3])
    if step.kind == "BATCH_MATMUL":
        return prod(shape) * kernel.shape[-2]
    if step.kind == "TRANSPOSE_CONV" and (given := flow.arguments(step)):
        return prod(reference.sample_shape(given[0])) * prod(kernel.shape[:3])
    return 0


def kernel_stats(flow: Flow, step: Operator, bins: int) -> WeightStats | None:
    """Statistics of a step's weights; of several arrays with as many rows those side by side.

    Output channels are those of the kernel; of tables and of recurrent weights the last axis of the
    table, and the rows of the weights, one for each unit.
    """
    held = list(_weights(flow, step).values())
    if not held:
        return None
    if step.kind in STORED:
        return weight_stats(real_values(held[0]), STORED[step.kind].channel_axes, bins)
    if len(held) == 1:
        return weight_stats(real_values(held[0]), (held[0].data.ndim - 1,), bins)  # pyright: ignore
    rows = held[0].shape[0]
    alike = [real_values(t).reshape(rows, -1) for t in held if t.shape[0] == rows]
    return weight_stats(np.concatenate(alike, axis=1), (0,), bins)


def _format(match: Match, found: Matching, value: int) -> Format:
    weights: Sequence[Tensor] = list(_weights(found.quantized, match.quantized).values())
    dtype = found.quantized.model.tensors[value].dtype
    maker = found.quantized.maker(value)
    grid = kernel_grid(weights[0]) if len(weights) == 1 else None
    return Format(dtype, grid, operator=None if maker is None else maker.index)
