"""An operator of a file read as a layer with a kernel: where its numbers agree, and where not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.graph import LayerNode
from tfqdyn.tflite.dataflow import Dataflow, real_values
from tfqdyn.tflite.file import Operator
from tfqdyn.tflite.kernels import FileKernel, affine_chains, distance, kernel_in_file

UNRELATED = 0.5
"""From which `kernels.distance` on a kernel is not a quantized form of the layer's."""
SAME_MAP = 0.1
"""Up to which `kernels.distance` two per-channel maps are one, rounded."""
MARGIN = 0.05
"""By how much a less likely reading of the file must be closer to be preferred."""


@dataclass(frozen=True, eq=False)
class Taken:
    """A per-channel map [K] that reads a layer, and may be part of its kernel in the file."""

    row: LayerNode
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class KernelMatch:
    """One reading of an operator.

    Attributes:
        operators: the one with the kernel, and affine ones behind it that belong to the layer.
        kernel: as stored.
        distance: of the kernel, those operators included, from the layer's.
        score: the same with the bias; 0 is best.
        most_steps: largest difference of a weight in steps of its grid.
        taken: the row of the per-channel map that went into the kernel, if any.
    """

    operators: tuple[Operator, ...]
    kernel: FileKernel
    distance: float
    score: float
    most_steps: float
    taken: LayerNode | None


def closest(
    flow: Dataflow,
    operators: Sequence[Operator],
    kernel: NDArray,
    bias: NDArray,
    after: Taken | None = None,
) -> KernelMatch | None:
    """The best reading of any of some operators as a layer.

    Args:
        flow: of the file.
        operators: the candidates.
        kernel: the layer's, [H, W, I, K].
        bias: the layer's, [K].
        after: the per-channel map that alone reads the layer, if any.

    Returns:
        None if no candidate has a kernel of that shape.
    """
    best: KernelMatch | None = None
    for operator in operators:
        stored = kernel_in_file(flow, operator)
        if stored is None or stored.values.shape != kernel.shape:
            continue
        for match in _readings(flow, operator, stored, kernel, bias, after):
            if match.score < (np.inf if best is None else best.score - MARGIN):
                best = match
    return best


def _readings(
    flow: Dataflow,
    operator: Operator,
    stored: FileKernel,
    kernel: NDArray,
    bias: NDArray,
    after: Taken | None,
) -> Iterator[KernelMatch]:
    """The ways to read an operator as the layer, the likeliest first."""
    wanted: list[tuple[NDArray, NDArray, LayerNode | None]] = [(kernel, bias, None)]
    if after is not None:
        wanted.append((kernel * after.scale, bias * after.scale + after.offset, after.row))
    added = flow.constant(operator, 2)
    own = np.zeros(bias.size) if added is None else real_values(added).reshape(-1)
    for full, full_bias, taken in wanted:
        for chain, scale, offset in affine_chains(flow, operator.outputs[0], bias.size):
            found = stored.values * scale
            steps = stored.steps * abs(scale)
            apart = distance(full, found)
            score = apart + offsets_apart(full_bias, own * scale + offset)
            most = float((abs(full - found) / np.where(steps > 0, steps, np.inf)).max())
            yield KernelMatch((operator, *chain), stored, apart, score, most, taken)
            if operator.activation != "NONE":
                break


def shapes_of(flow: Dataflow, operators: Sequence[Operator]) -> str:
    """Operators with the shapes of their kernels, in words."""
    found = []
    for operator in operators:
        stored = kernel_in_file(flow, operator)
        shape = "" if stored is None else "x".join(map(str, stored.values.shape))
        found.append(operator.kind + (f" with a kernel of {shape}" if shape else ""))
    return ", ".join(dict.fromkeys(found))


def offsets_apart(reference: NDArray, found: NDArray) -> float:
    """`distance` of offsets, of which those below 1e-6 count as nothing; in [0, sqrt(2)]."""
    size = np.mean(reference**2) + np.mean(found**2) + 1e-12
    return float(np.sqrt(np.mean((reference - found) ** 2) / size))
