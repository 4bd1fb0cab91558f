"""Ranges of every layer's activations from a seeded draw of images: one streaming pass.

Every site (the input and each row's output) gets an `Observer`, which keeps the smallest and the
largest values of each image and a histogram. All calibrators read the same observers; what they
keep does not grow with the number of images, but for the share of records that a percentile of
runs may drop.

Calibrators
    minmax               the extrema of all images
    percentile           of the values: top and bottom p % (thesis section 3.1: 1 %)
    percentile_of_runs   TensorFlow's Graph Transform Tool: of the images' extrema (Yun & Wong: 5 %)
    mse                  the range that minimizes the 8-bit quantization MSE

Every range is widened to contain 0 when it is made into parameters; here it is as observed.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfqdyn.numerics import kernels
from tfqdyn.numerics.finiteness import NonFiniteError, OverflowedError, refuse_non_finite
from tfqdyn.numerics.histogram import CHANNEL_BINS, TENSOR_BINS, RangeHistogram

DEFAULT_PERCENTILES = {"percentile": 1.0, "percentile_of_runs": 5.0}
LEVELS = 255


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


@dataclass(frozen=True, eq=False)
class SiteRange:
    """Range of one site under one calibrator, and what was observed of it.

    Attributes:
        low, high: the tensor's range, by the calibrator.
        minimum, maximum: the tensor's smallest and largest value, whatever the calibrator clips.
        channel_low, channel_high: every channel's range [C], by the calibrator.
        histogram: counts [bins] between `minimum` and `maximum`.
    """

    low: float
    high: float
    minimum: float
    maximum: float
    channel_low: NDArray[np.float64]
    channel_high: NDArray[np.float64]
    histogram: NDArray[np.int64]


def draw(available: int, size: int, seed: int, trial: int) -> NDArray[np.int64]:
    """Sorted indices of a trial's calibration images, drawn without replacement.

    Raises:
        ValueError: no images, or size < 1.
    """
    if available < 1 or size < 1:
        raise ValueError(
            f"calibration needs at least one image, received {available} images, size {size}"
        )
    generator = np.random.default_rng((seed, trial))
    return np.sort(generator.choice(available, min(size, available), replace=False))


def records_kept(images: int, percentile: float) -> tuple[int, int]:
    """Positions that `percentile_of_runs` reads among N sorted records: (lowest, from the top).

    lo = max(0, round(N p / 100)) and hi = min(N - 1, round(N (1 - p / 100))), halves away from
    zero, in float32 (SPEC, part II A.1); the second number is N - 1 - hi.
    """
    n, share = np.float32(images), np.float32(percentile) / np.float32(100)
    low = max(0, _round_half_away(n * share))
    high = min(images - 1, _round_half_away(n * (np.float32(1) - share)))
    return min(low, images - 1), images - 1 - max(high, 0)


def _round_half_away(value: np.float32) -> int:
    return math.floor(float(value) + 0.5)


class Observer:
    """What calibration keeps of one site.

    Args:
        channels: C.
        images: how many images will be seen.
        calibrator: which calibrator's channel ranges will be asked for.
    """

    def __init__(self, channels: int, images: int, calibrator: Calibrator) -> None:
        low, high = records_kept(images, calibrator.percentile)
        self._keep = (low + 1, high + 1)
        self._images = images
        self.lowest = np.empty((0, channels + 1), np.float32)  # last column: the whole tensor
        self.highest = np.empty((0, channels + 1), np.float32)
        self.minimum = np.full(channels + 1, np.inf)
        self.maximum = np.full(channels + 1, -np.inf)
        self.values = RangeHistogram(1, TENSOR_BINS)
        by_values = calibrator.name in ("percentile", "mse")
        self.channel_values = RangeHistogram(channels, CHANNEL_BINS) if by_values else None

    def add(self, activations: NDArray[np.float32]) -> None:
        """Takes in fp32 activations [N, ..., C].

        Raises:
            NonFiniteError: an activation is NaN or infinite.
        """
        x = activations.reshape(activations.shape[0], -1, activations.shape[-1])
        low = np.empty((x.shape[0], x.shape[2] + 1), np.float32)
        high = np.empty_like(low)
        refuse_non_finite(kernels.channel_extrema(x, low, high))
        low[:, -1], high[:, -1] = low[:, :-1].min(axis=1), high[:, :-1].max(axis=1)
        self.lowest = _smallest(np.concatenate([self.lowest, low]), self._keep[0])
        self.highest = -_smallest(-np.concatenate([self.highest, high]), self._keep[1])
        self.minimum = np.minimum(self.minimum, low.min(axis=0))
        self.maximum = np.maximum(self.maximum, high.max(axis=0))
        largest = np.maximum(np.abs(low), np.abs(high)).max(axis=0)
        self.values.add(x, largest[-1:])
        if self.channel_values is not None:
            self.channel_values.add(x, largest[:-1])

    def site_range(self, calibrator: Calibrator, bins: int) -> SiteRange:
        """The ranges under a calibrator, and the histogram [bins] between the observed extrema."""
        low, high = CALIBRATORS[calibrator.name](self, calibrator.percentile)
        return SiteRange(
            low=float(low[-1]),
            high=float(high[-1]),
            minimum=float(self.minimum[-1]),
            maximum=float(self.maximum[-1]),
            channel_low=low[:-1].astype(np.float64),
            channel_high=high[:-1].astype(np.float64),
            histogram=self._between_extrema(bins),
        )

    def _between_extrema(self, bins: int) -> NDArray[np.int64]:
        centres, counts = self.values.points()
        low, high = float(self.minimum[-1]), float(self.maximum[-1])
        if high == low:
            return np.eye(1, bins, dtype=np.int64)[0]
        place = np.clip(((centres - low) * bins / (high - low)).astype(int), 0, bins - 1)
        return np.bincount(place, counts, bins).astype(np.int64)


def _smallest(records: NDArray, keep: int) -> NDArray:
    """The `keep` smallest records of every column, unordered."""
    return records if len(records) <= keep else np.partition(records, keep - 1, axis=0)[:keep]


def _minmax(observer: Observer, percentile: float) -> tuple[NDArray, NDArray]:
    return observer.minimum, observer.maximum


def _percentile_of_runs(observer: Observer, percentile: float) -> tuple[NDArray, NDArray]:
    low = np.sort(observer.lowest, axis=0)[-1]
    high = np.sort(observer.highest, axis=0)[0]
    return low, high


def _by_rows(
    observer: Observer, rule: Callable[[RangeHistogram, int], tuple[float, float]]
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


def _percentile(observer: Observer, percentile: float) -> tuple[NDArray, NDArray]:
    share = percentile / 100.0
    return _by_rows(observer, lambda h, row: (h.quantile(share, row), h.quantile(1 - share, row)))


def _mse(observer: Observer, percentile: float) -> tuple[NDArray, NDArray]:
    return _by_rows(observer, lambda h, row: mse_range(*h.points(row)))


def mse_range(centres: NDArray, counts: NDArray, rounds: int = 3) -> tuple[float, float]:
    """The 8-bit range with the least quantization MSE over weighted points.

    Shrinks both ends together, then each alone, on a grid of fractions that is refined around the
    best one in every round.
    """
    if not centres.size:
        return 0.0, 0.0
    ends = np.array([min(centres[0], 0.0), max(centres[-1], 0.0)])
    if ends[0] == ends[1]:
        return float(ends[0]), float(ends[1])
    best = ends
    error = kernels.error_of_range(centres, counts, best[0], best[1], LEVELS)
    spread = 0.5
    for _ in range(rounds):
        for moved in ((True, True), (True, False), (False, True)):
            middle = best
            for factor in np.linspace(1.0 - spread, 1.0 + spread, 17):
                tried = np.where(moved, middle * factor, middle)
                tried = np.array([max(tried[0], ends[0]), min(tried[1], ends[1])])
                if tried[0] < tried[1]:
                    found = kernels.error_of_range(centres, counts, tried[0], tried[1], LEVELS)
                    if found < error:
                        best, error = tried, found
        spread /= 4.0
    return float(best[0]), float(best[1])


CALIBRATORS: dict[str, Callable[[Observer, float], tuple[NDArray, NDArray]]] = {
    "minmax": _minmax,
    "mse": _mse,
    "percentile": _percentile,
    "percentile_of_runs": _percentile_of_runs,
}


def _first_non_finite(observer: Observer, values: NDArray[np.float32]) -> int | None:
    """Adds values to an observer, or tells which of the images holds NaN or infinity."""
    try:
        observer.add(values)
    except NonFiniteError as error:
        return error.image
    return None


def calibrate(
    activations: Callable[[NDArray[np.float32]], list[NDArray[np.float32]]],
    chunks: Iterable[tuple[NDArray[np.float32], NDArray[np.int64], list[bytes]]],
    images: int,
    calibrator: Calibrator,
    bins: int,
    executor: Executor,
    names: Sequence[str],
) -> list[SiteRange]:
    """The ranges of every site over one draw of images, sites in parallel.

    Args:
        activations: gives the fp32 values of every site for a chunk of images.
        chunks: as `datasets.chunks` yields them.
        images: how many images will come.
        calibrator: how ranges are chosen.
        bins: of each site's histogram between its extrema.
        executor: runs the observers.
        names: of the sites, for errors.

    Raises:
        OverflowedError: a site's values are NaN or infinite.
    """
    observers: list[Observer] = []
    for chunk, indices, _ in chunks:
        values = [site[: len(indices)] for site in activations(chunk)]
        if not observers:
            observers = [Observer(site.shape[-1], images, calibrator) for site in values]
        found = executor.map(_first_non_finite, observers, values)
        for name, broken in zip(names, found, strict=True):
            if broken is not None:
                raise OverflowedError(name, "fp32", "calibration", int(indices[broken]))
        del values
    return list(executor.map(lambda o: o.site_range(calibrator, bins), observers))
