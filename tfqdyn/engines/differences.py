"""How many values of two arrays differ, and by how many steps.

A step of a quantized tensor is one code. A step of a tensor of floats is `FLOAT_STEP` of its
largest magnitude: kernels that add in another order differ by less, and a code of 8 bits is about
128 times as much.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLOAT_STEP = 2.0**-15
NEXT = 0.5
"""Up to so many steps a real number that stands for a code is that code."""


@dataclass(frozen=True)
class Difference:
    """Of some values: how many there are, how many differ, and by how many steps at most.

    `largest` is infinite where one side has another shape, or no number where the other has one.
    """

    values: int = 0
    differing: int = 0
    largest: float = 0.0

    @property
    def share(self) -> float:
        """Share of the values that differ, in [0, 1]; 0 of none."""
        return self.differing / self.values if self.values else 0.0

    def __add__(self, other: "Difference") -> "Difference":
        return Difference(
            self.values + other.values,
            self.differing + other.differing,
            max(self.largest, other.largest),
        )


def difference(base: NDArray, other: NDArray) -> Difference:
    """What differs between values of one tensor.

    Args:
        base: codes, or floats.
        other: the same; or, of codes, floats that stand for them.
    """
    if base.size != other.size:
        size = max(base.size, other.size)
        return Difference(size, size, float("inf"))
    if not base.size:
        return Difference()
    a, b = base.reshape(-1), other.reshape(-1)
    if a.dtype.kind == "f":
        return _between(a.astype(np.float64), b.astype(np.float64), 1.0, FLOAT_STEP)
    if b.dtype.kind == "f":
        return _between(a.astype(np.float64), b.astype(np.float64), NEXT)
    steps = np.abs(a.astype(np.int64) - b.astype(np.int64))
    return Difference(a.size, int(np.count_nonzero(steps)), float(steps.max()))


def _between(
    a: NDArray[np.float64], b: NDArray[np.float64], most: float, share: float | None = None
) -> Difference:
    """Of real numbers, in steps of a share of the largest magnitude, or of 1."""
    step = 1.0
    if share is not None:
        finite = np.abs(np.concatenate([a[np.isfinite(a)], b[np.isfinite(b)]]))
        step = share * float(finite.max(initial=0.0)) or 1.0
    with np.errstate(invalid="ignore"):
        steps = np.abs(a - b) / step
    steps[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
    steps[np.isnan(steps)] = np.inf
    return Difference(a.size, int(np.count_nonzero(~(steps <= most))), float(steps.max()))
