"""The numbers that a .tflite operator multiplies with, in one form for all: [H, W, I, K].

So a dense layer equals the 1x1 convolution, and a depthwise one the grouped convolution, that a
file may hold in its place; see `numerics.layouts`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfqdyn.numerics.layouts import STORED
from tfqdyn.tflite.dataflow import Dataflow, real_values
from tfqdyn.tflite.file import Operator, Tensor

AFFINE = ("MUL", "ADD", "SUB", "DIV")


@dataclass(frozen=True, eq=False)
class FileKernel:
    """A kernel as a file holds it.

    Attributes:
        tensor: where it is stored.
        values: real numbers [H, W, I, K].
        steps: distance of neighbouring codes, [] or [K]; 0 where it is stored in floats.
    """

    tensor: Tensor
    values: NDArray[np.float64]
    steps: NDArray[np.float64]


def kernel_in_file(flow: Dataflow, operator: Operator) -> FileKernel | None:
    """The kernel of an operator; None if it has none that is stored."""
    tensor = flow.constant(operator, 1) if operator.kind in STORED else None
    if tensor is None:
        return None
    steps = np.zeros(()) if tensor.params is None else tensor.params.scale
    return FileKernel(tensor, STORED[operator.kind].common(real_values(tensor)), steps)


def affine_of(flow: Dataflow, operator: Operator) -> tuple[NDArray, NDArray] | None:
    """(scale, offset), [] or [C], of an operator that is one affine map a channel; else None."""
    if operator.kind in ("DEPTHWISE_CONV_2D", "CONV_2D"):
        kernel, bias = kernel_in_file(flow, operator), flow.constant(operator, 2)
        if kernel is None or kernel.values.shape[:3] != (1, 1, 1) or bias is None:
            return None
        if operator.kind == "CONV_2D" and kernel.values.size > 1:
            return None
        return kernel.values.reshape(-1), real_values(bias)
    if operator.kind not in AFFINE or len(flow.inputs(operator)) != 1:
        return None
    first, second = (flow.constant(operator, i) for i in (0, 1))
    stored = first or second
    if stored is None or (operator.kind == "DIV" and first is not None):
        return None
    number = real_values(stored).reshape(-1)
    none, one = np.zeros(1), np.ones(1)
    return {
        "MUL": (number, none),
        "DIV": (1 / np.where(number == 0, np.inf, number), none),
        "ADD": (one, number),
        "SUB": (one, -number) if first is None else (-one, number),
    }[operator.kind]


def affine_chains(
    flow: Dataflow, tensor: int, channels: int, longest: int = 3
) -> Iterator[tuple[tuple[Operator, ...], NDArray, NDArray]]:
    """All runs of affine operators that start at a value, the empty one first.

    Yields:
        The operators, and scale and offset [channels] of all of them together.
    """
    runs: list[tuple[tuple[Operator, ...], NDArray, NDArray]] = [
        ((), np.ones(channels), np.zeros(channels))
    ]
    while runs:
        operators, scale, offset = runs.pop(0)
        yield operators, scale, offset
        if len(operators) == longest or (operators and operators[-1].activation != "NONE"):
            continue
        end = operators[-1].outputs[0] if operators else tensor
        for reader in flow.readers(end):
            step = affine_of(flow, reader)
            if step is not None and step[0].size in (1, channels) and step[1].size in (1, channels):
                runs.append(((*operators, reader), scale * step[0], offset * step[0] + step[1]))


def distance(reference: NDArray, found: NDArray) -> float:
    """How far two arrays are apart: rms of the difference over the rms of both, in [0, sqrt(2)].

    0 is best; unrelated arrays without mean have about 1; 0 for two arrays of zeros.
    """
    reference = reference.astype(np.float64)
    size = np.mean(reference**2) + np.mean(found**2)
    return float(np.sqrt(np.mean((reference - found) ** 2) / size)) if size else 0.0
