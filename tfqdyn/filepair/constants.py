"""Constants of two files held against each other: whether one is the other, rounded."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfqdyn.numerics.layouts import STORED
from tfqdyn.tflite.dataflow import real_values
from tfqdyn.tflite.file import INDICES, Operator, Tensor

MOST_BEYOND = 0.05
"""Share of the weights that may be off by more than a step; clipped ones count as right."""
FLOATS_APART = 0.003
"""`Likeness.distance` up to which two constants in floats are one; halves have 3e-4."""
AT_A_TIME = 2**20


@dataclass(frozen=True)
class Likeness:
    """How far a constant is from another.

    Attributes:
        distance: rms of the difference over the rms of both, in [0, sqrt(2)]; 0 is best.
        beyond: share of numbers that are off by more than a step of the grid, in [0, 1].
        rounded: whether the second one has a grid.
    """

    distance: float
    beyond: float
    rounded: bool

    @property
    def same(self) -> bool:
        """Whether rounding explains the difference."""
        if self.rounded:
            return self.beyond <= MOST_BEYOND
        return self.distance <= FLOATS_APART

    @property
    def words(self) -> str:
        """The difference, for messages."""
        if self.distance == np.inf:
            return "they have another shape"
        if self.rounded:
            return f"{100 * self.beyond:.0f} % of them are off by more than a step of their grid"
        return f"they are {100 * self.distance:.2g} % off"


UNLIKE = Likeness(float("inf"), 1.0, True)


def is_weights(step: Operator, position: int, tensor: Tensor) -> bool:
    """Whether a constant of a step was trained as its weights: a kernel, or a table."""
    if tensor.dtype in INDICES and tensor.params is None:
        return False
    if step.kind in STORED:
        return position == 1
    return sum(size > 1 for size in tensor.shape) >= 2


def compare(reference: Tensor, found: Tensor) -> Likeness:
    """Two stored tensors of one shape, number by number."""
    if reference.shape != found.shape or reference.data is None or found.data is None:
        return UNLIKE
    sums, beyond = np.zeros(3), 0
    for x, q, step, low, high in _parts(reference, found):
        more, off = _sums(x.clip(low, high), q, step)
        sums, beyond = sums + more, beyond + off
    return _likeness(sums, beyond, reference.data.size, found.params is not None)


def compare_values(reference: NDArray, found: NDArray, steps: NDArray) -> Likeness:
    """Real numbers of one shape; `steps` are of the second one's grid, 0 where it has none."""
    if reference.shape != found.shape:
        return UNLIKE
    sums, beyond = _sums(reference, found, steps)
    return _likeness(sums, beyond, found.size, bool(np.any(steps > 0)))


def _sums(x: NDArray, q: NDArray, step: NDArray) -> tuple[NDArray, int]:
    """Squares of the difference and of both, and how many differ by more than a step."""
    apart = abs(x - q)
    squares = np.array([np.sum(apart**2), np.sum(x**2), np.sum(q**2)])
    return squares, int(np.sum(~(apart <= 1.001 * step)))


def _likeness(sums: NDArray, beyond: int, count: int, rounded: bool) -> Likeness:
    size = sums[1] + sums[2]
    distance = float(np.sqrt(sums[0] / size)) if size else 0.0
    return Likeness(distance, beyond / max(1, count), rounded)


def _parts(reference: Tensor, found: Tensor) -> Iterator[tuple[NDArray, ...]]:
    """Parts of both as real numbers, with steps and ends of the second one's grid."""
    params, shape = found.params, found.shape
    assert reference.data is not None, "stored tensors have data"
    assert found.data is not None, "stored tensors have data"
    x = reference.data if reference.params is None else real_values(reference)
    grid: list[NDArray] = [np.zeros(()), np.zeros(()), np.array(-np.inf), np.array(np.inf)]
    if params is not None:
        grid = [params.scale, params.zero_point, *params.range]
    by_row = False
    if params is not None and params.axis is not None:
        along = [1] * len(shape)
        along[params.axis] = -1
        grid, by_row = [np.reshape(part, along) for part in grid], params.axis == 0
    count = shape[0] if shape else 1
    rows = max(1, AT_A_TIME * count // max(1, x.size))
    for first in range(0, count, rows):
        cut = (slice(first, first + rows),) if shape else ()
        step, zero, low, high = (part[cut] if by_row else part for part in grid)
        codes = found.data[cut].astype(np.float64)
        real = codes if params is None else step * (codes - zero)
        yield x[cut].astype(np.float64), real, step, low, high
