"""Kernels in one form, and the multiplications and additions behind them that may be folded in."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tfqdyn.filepair.flow import Flow
from tfqdyn.numerics.layouts import STORED
from tfqdyn.tflite.dataflow import real_values
from tfqdyn.tflite.file import Operator
from tfqdyn.tflite.kernels import AFFINE, FileKernel

LONGEST = 3
"""Most affine steps behind a kernel that are taken as one batch norm."""


def common_kernel(flow: Flow, step: Operator) -> FileKernel | None:
    """The kernel of a step as [H, W, I, K]; None if it stores none."""
    stored = flow.constants(step).get(1)
    if stored is None or (stored.dtype not in ("float16", "float32") and stored.params is None):
        return None
    if step.kind in STORED:
        values = STORED[step.kind].common(real_values(stored))
    elif step.kind == "BATCH_MATMUL" and len(stored.shape) == 2:
        values = real_values(stored)[None, None]
    else:
        return None
    steps = np.zeros(()) if stored.params is None else stored.params.scale
    return FileKernel(stored, values, steps)


def bias_of(flow: Flow, step: Operator, channels: int) -> NDArray[np.float64]:
    """What a step with a kernel adds to each channel, [channels]."""
    stored = flow.constants(step).get(2)
    if stored is None or step.kind not in STORED:
        return np.zeros(channels)
    added = real_values(stored).reshape(-1)
    return added if added.size == channels else np.zeros(channels)


def affine_chains(
    flow: Flow, step: Operator, channels: int
) -> Iterator[tuple[tuple[Operator, ...], NDArray, NDArray]]:
    """The affine steps behind a step, none first, then one more each.

    Yields:
        The steps, and scale and offset [channels] of all of them together.
    """
    found: tuple[Operator, ...] = ()
    scale, offset = np.ones(channels), np.zeros(channels)
    last = step
    yield found, scale, offset
    while len(found) < LONGEST and last.activation == "NONE" and len(last.outputs) == 1:
        readers = flow.readers(last.outputs[0])
        if len(readers) != 1 or last.outputs[0] in flow.outputs:
            return
        affine = _affine(flow, readers[0], channels)
        if affine is None:
            return
        last, found = readers[0], (*found, readers[0])
        scale, offset = scale * affine[0], offset * affine[0] + affine[1]
        yield found, scale, offset


def _affine(flow: Flow, step: Operator, channels: int) -> tuple[NDArray, NDArray] | None:
    """(scale, offset) of a step that adds or multiplies one number per channel; else None."""
    if step.kind not in AFFINE or len(flow.arguments(step)) != 1:
        return None
    stored = flow.constants(step)
    if len(stored) != 1:
        return None
    ((position, tensor),) = stored.items()
    number = real_values(tensor).reshape(-1)
    if number.size not in (1, channels) or (position == 0 and step.kind in ("DIV", "SUB")):
        return None
    none, one = np.zeros(1), np.ones(1)
    return {
        "ADD": (one, number),
        "DIV": (1 / np.where(number == 0, np.inf, number), none),
        "MUL": (number, none),
        "SUB": (one, -number),
    }[step.kind]
