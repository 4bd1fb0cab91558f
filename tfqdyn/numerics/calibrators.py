"""Calibrators: which range a site gets, from what `calibration.Observer` saw of it.

    minmax               the extrema of all images
    percentile           of the values: top and bottom p % (thesis section 3.1: 1 %)
    percentile_of_runs   TensorFlow's Graph Transform Tool: of the images' extrema (Yun & Wong: 5 %)
    mse                  the range that minimizes the 8-bit quantization MSE

A new one is an entry in `CALIBRATORS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tfqdyn.numerics.histogram import RangeHistogram

LEVELS = 255
SYMMETRIC_LEVELS = 254
"""Steps between the codes -127 and 127."""


@dataclass(frozen=True)
class Rule:
    """What a calibrator does.

    Attributes:
        ends: (observer, percentile) -> smallest and largest values [C + 1], of every channel and
            of the whole tensor.
        percentile: what it cuts at each end by default, in percent; None where it cuts nothing.
        by_values: whether it reads the channels' histograms.
    """

    ends: Callable[[Any, float], tuple[NDArray, NDArray]]
    percentile: float | None = None
    by_values: bool = False


def _minmax(observer: Any, percentile: float) -> tuple[NDArray, NDArray]:
    return observer.minimum, observer.maximum


def _percentile_of_runs(observer: Any, percentile: float) -> tuple[NDArray, NDArray]:
    low = np.sort(observer.lowest, axis=0)[-1]
    high = np.sort(observer.highest, axis=0)[0]
    return low, high


def _by_rows(
    observer: Any, rule: "Callable[[RangeHistogram, int], tuple[float, float]]"
) -> tuple[NDArray, NDArray]:
    """Applies a rule to every channel's histogram, then to the tensor's."""
    if observer.channel_values is None:
        rows = [(np.nan, np.nan)] * (len(observer.minimum) - 1)
    else:
        channels = observer.channel_values
        rows = [rule(channels, row) for row in range(len(channels.zeros))]
    ends = np.array([*rows, rule(observer.values, 0)])
    bounded = np.clip(ends, observer.minimum[:, None], observer.maximum[:, None])
    return bounded[:, 0], bounded[:, 1]


def _percentile(observer: Any, percentile: float) -> tuple[NDArray, NDArray]:
    share = percentile / 100.0
    return _by_rows(observer, lambda h, row: (h.quantile(share, row), h.quantile(1 - share, row)))


def _mse(observer: Any, percentile: float) -> tuple[NDArray, NDArray]:
    return _by_rows(observer, lambda h, row: mse_range(*h.points(row)))


def mse_range(
    centres: NDArray, counts: NDArray, rounds: int = 3, symmetric: bool = False
) -> tuple[float, float]:
    """The 8-bit range with the least quantization MSE over weighted points.

    Shrinks both ends together, then each alone, on a grid of fractions that is refined around the
    best one in every round.

    Args:
        centres: of the points, ascending [N].
        counts: their weights [N].
        rounds: of refinement.
        symmetric: the range is [-bound, bound], on the codes -127 to 127.
    """
    from tfqdyn.numerics import loops  # Numba's, and slow to load

    if not centres.size:
        return 0.0, 0.0
    ends = whole_range(centres, symmetric)
    if ends[0] == ends[1]:
        return float(ends[0]), float(ends[1])
    levels, moves = LEVELS, ((True, True), (True, False), (False, True))
    if symmetric:
        levels, moves = SYMMETRIC_LEVELS, moves[:1]
    best = ends
    error = loops.error_of_range(centres, counts, best[0], best[1], levels)
    spread = 0.5
    for _ in range(rounds):
        for moved in moves:
            middle = best
            for factor in np.linspace(1.0 - spread, 1.0 + spread, 17):
                tried = np.where(moved, middle * factor, middle)
                tried = np.array([max(tried[0], ends[0]), min(tried[1], ends[1])])
                if tried[0] < tried[1]:
                    found = loops.error_of_range(centres, counts, tried[0], tried[1], levels)
                    if found < error:
                        best, error = tried, found
        spread /= 4.0
    return float(best[0]), float(best[1])


def whole_range(centres: NDArray, symmetric: bool = False) -> NDArray[np.float64]:
    """The range of ascending points [N] that cuts none, 0 in it."""
    low, high = min(float(centres[0]), 0.0), max(float(centres[-1]), 0.0)
    bound = max(-low, high)
    return np.array([-bound, bound] if symmetric else [low, high])


CALIBRATORS: Mapping[str, Rule] = MappingProxyType(
    {
        "minmax": Rule(_minmax),
        "mse": Rule(_mse, by_values=True),
        "percentile": Rule(_percentile, 1.0, by_values=True),
        "percentile_of_runs": Rule(_percentile_of_runs, 5.0),
    }
)


@dataclass(frozen=True)
class Calibrator:
    """How ranges are chosen.

    Attributes:
        name: one of `CALIBRATORS`.
        percentile: what the two percentile calibrators cut at each end, in percent, 0 to 50.
    """

    name: str = "percentile_of_runs"
    percentile: float = 5.0

    def __post_init__(self) -> None:
        if self.name not in CALIBRATORS:
            raise ValueError(f"calibrator must be one of {sorted(CALIBRATORS)}, got {self.name!r}")
        if not 0 <= self.percentile < 50:
            raise ValueError(f"percentile must lie in [0, 50), received {self.percentile}")

    @property
    def rule(self) -> Rule:
        """What it does."""
        return CALIBRATORS[self.name]
