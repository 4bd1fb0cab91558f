"""A histogram whose bounds need not be known: bins of width 2^e around 0, merged in pairs to grow.

Whatever the order of the data, the result is the same: the final exponent depends on the largest
magnitude alone, and merging pairs of bins moves no value across an edge. So one streaming pass
serves the percentile and the MSE calibrator.
"""

import numpy as np
from numpy.typing import NDArray

from tfqdyn.numerics import loops

TENSOR_BINS = 32768
CHANNEL_BINS = 1024
"""Half of the bins are for each sign, and the largest magnitude fills over half of its side."""
NARROWEST_EXPONENT = -100
"""Bins are at least 2^-100 wide, so that float32 holds the inverse."""


class RangeHistogram:
    """Histograms of a layer's values: one for the tensor, or one for each channel.

    Args:
        rows: 1, or the number of channels.
        bins: even number of bins of each row.
    """

    def __init__(self, rows: int, bins: int) -> None:
        dtype = np.int64 if rows == 1 else np.int32  # channels are many, and see fewer values
        self.counts = np.zeros((rows, bins), dtype)
        self.zeros = np.zeros(rows, np.int64)
        self._exponents = np.zeros(rows, np.int64)
        self._used = np.zeros(rows, bool)

    @property
    def widths(self) -> NDArray[np.float64]:
        """Width of each row's bins."""
        return np.ldexp(1.0, self._exponents)

    def add(self, values: NDArray[np.float32], largest: NDArray) -> None:
        """Counts values [..., C]; `largest` holds every row's largest magnitude among them."""
        flat = values.reshape(-1, values.shape[-1])
        self._grow(np.asarray(largest, np.float64))
        inverse = 1.0 / self.widths
        if len(self.zeros) == 1:
            loops.count_signed(flat.reshape(-1), inverse[0], self.counts, self.zeros)
        else:
            loops.count_signed_channels(flat, inverse, self.counts, self.zeros)

    def _grow(self, largest: NDArray[np.float64]) -> None:
        """Widens the bins of rows that the new values do not fit into."""
        half = self.counts.shape[1] // 2
        with np.errstate(divide="ignore"):
            needed = np.maximum(np.floor(np.log2(largest / half)) + 1, NARROWEST_EXPONENT)
        for row in np.flatnonzero((largest > 0) & (~self._used | (needed > self._exponents))):
            if self._used[row]:
                for _ in range(int(needed[row] - self._exponents[row])):
                    merged = self.counts[row].reshape(-1, 2).sum(axis=1)
                    self.counts[row] = 0
                    self.counts[row, half // 2 : half // 2 + half] = merged
            self._used[row] = True
            self._exponents[row] = int(needed[row])

    def points(self, row: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Occupied bins as (centres, counts), ascending; exact zeros are a point of their own."""
        half = self.counts.shape[1] // 2
        width = self.widths[row]
        occupied = np.flatnonzero(self.counts[row])
        centres = (occupied - half + 0.5) * width
        counts = self.counts[row, occupied].astype(np.float64)
        if self.zeros[row]:
            place = np.searchsorted(centres, 0.0)
            centres = np.insert(centres, place, 0.0)
            counts = np.insert(counts, place, float(self.zeros[row]))
        return centres, counts

    def quantile(self, share: float, row: int = 0) -> float:
        """The value below which `share` of the values lie, linear inside a bin; 0 if empty."""
        centres, counts = self.points(row)
        if not counts.size:
            return 0.0
        target = share * counts.sum()
        above = np.cumsum(counts)
        i = min(int(np.searchsorted(above, target)), len(counts) - 1)
        width = 0.0 if centres[i] == 0.0 else self.widths[row]
        inside = (target - (above[i] - counts[i])) / counts[i]
        return float(centres[i] + (inside - 0.5) * width)
