"""Dilated convolutions that a file holds as three operators, as one.

Old converters write SPACE_TO_BATCH_ND, a convolution without padding and BATCH_TO_SPACE_ND: padding
by the first, dilation by its block, cutting by the last.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn.tflite.file import Operator, TfliteModel

BORDER = "Border"
"""The option that holds the zeros around an image: (before, after) of every axis."""
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
SEQUENCE = "Sequence"
"""The option that says that a sequence is read, as an image with one place on this axis."""


def joined(model: TfliteModel) -> tuple[Operator, ...]:
    """The file's operators, those three instead of the last as one convolution."""
    readers: dict[int, list[Operator]] = {}
    for op in model.operators:
        for tensor in dict.fromkeys(op.inputs):
            readers.setdefault(tensor, []).append(op)
    replaced: dict[int, Operator | None] = {}
    for op in model.operators:
        found = _chain(model, op, readers)
        middle = next((o for o in found if o.kind in _CONVOLUTIONS), None)
        whole = None if middle is None else _whole(model, found[0], middle, found[-1])
        if whole is not None:
            replaced |= dict.fromkeys((o.index for o in found), None) | {whole.index: whole}
    kept = (replaced.get(op.index, op) for op in model.operators)
    return tuple(op for op in kept if op is not None)


def _chain(
    model: TfliteModel, op: Operator, readers: Mapping[int, list[Operator]]
) -> tuple[Operator, ...]:
    """The operators from a SPACE_TO_BATCH_ND to a BATCH_TO_SPACE_ND, each read by the next alone.

    Reshapes may lie between, which make images of sequences; () where it is another chain.
    """
    if op.kind != "SPACE_TO_BATCH_ND":
        return ()
    found = [op]
    for kinds in (_CONVOLUTIONS, ("BATCH_TO_SPACE_ND",)):
        after = _only_reader(model, found[-1], readers)
        if after is not None and after.kind in ("EXPAND_DIMS", "RESHAPE", "SQUEEZE"):
            found.append(after)
            after = _only_reader(model, after, readers)
        if after is None or after.kind not in kinds:
            return ()
        found.append(after)
    return tuple(found)


def _only_reader(
    model: TfliteModel, op: Operator, readers: Mapping[int, list[Operator]]
) -> Operator | None:
    made = op.outputs[0]
    after = readers.get(made, [])
    return after[0] if len(after) == 1 and made not in model.outputs else None


def _whole(
    model: TfliteModel, first: Operator, middle: Operator, last: Operator
) -> Operator | None:
    """The convolution that three operators compute; None where they compute something else."""
    axis = _sequence_axis(model, first, middle)
    spread = [_spread(model, op, axis) for op in (first, last)]
    own = middle.options
    steps = {own.get(key) for key in ("StrideH", "StrideW", "DilationHFactor", "DilationWFactor")}
    if None in spread or steps != {1} or own["Padding"] != "valid":
        return None
    (block, pads), (same, cuts) = (pair for pair in spread if pair is not None)
    border = pads - cuts
    if list(block) != list(same) or cuts[0] or cuts[2] or border.min() < 0:
        return None
    kernel = model.tensors[middle.inputs[1]].shape
    options = dict(own) | {"DilationHFactor": int(block[0]), "DilationWFactor": int(block[1])}
    totals = [(kernel[1 + k] - 1) * int(block[k]) for k in (0, 1)]
    halves = [n for total in totals for n in (total // 2, total - total // 2)]
    if list(border) == halves:
        options["Padding"] = "same"
    else:
        top, bottom, left, right = (int(n) for n in border)
        options[BORDER] = ((top, bottom), (left, right), (0, 0))
    if axis is not None:
        options[SEQUENCE] = axis
    inputs = (first.inputs[0], *middle.inputs[1:])
    return replace(middle, index=last.index, inputs=inputs, outputs=last.outputs, options=options)


def _sequence_axis(model: TfliteModel, first: Operator, middle: Operator) -> int | None:
    """Which axis, 0 or 1, an image of a sequence has only one place on; None for images."""
    if len(model.tensors[first.inputs[0]].shape) != 3:
        return None
    return 0 if model.tensors[middle.inputs[0]].shape[1] == 1 else 1


def _spread(
    model: TfliteModel, op: Operator, axis: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Block [2], and padding or cuts [4], of an operator that spreads places over images."""
    stored = [model.tensors[op.inputs[k]].data if len(op.inputs) > k else None for k in (1, 2)]
    if any(numbers is None for numbers in stored):
        return None
    block, ends = (np.asarray(numbers, np.int64).reshape(-1) for numbers in stored)
    if axis is not None and (block.size, ends.size) == (1, 2):
        at = 0 if axis == 0 else 1
        block, ends = np.insert(block, at, 1), np.insert(ends, 2 * at, (0, 0))
    return (block, ends) if (block.size, ends.size) == (2, 4) else None
