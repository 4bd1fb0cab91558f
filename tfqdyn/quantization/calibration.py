"""Ranges of every layer's activations from a seeded draw of images: one streaming pass.

Every site (the input and each row's output) gets an `Observer`, which keeps the smallest and the
largest values of each image and a histogram. All `calibrators` read the same observers; what they
keep does not grow with the number of images, but for the share of records that a percentile of
runs may drop.

Every range is widened to contain 0 when it is made into parameters; here it is as observed.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn.numerics import loops
from tfqdyn.numerics.calibrators import Calibrator
from tfqdyn.numerics.finiteness import NonFiniteError, OverflowedError, refuse_non_finite
from tfqdyn.numerics.histogram import CHANNEL_BINS, TENSOR_BINS, RangeHistogram


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

    def between(self, low: float, high: float) -> "SiteRange":
        """The same site with other ends."""
        return replace(self, low=low, high=high)


def records_kept(images: int, percentile: float) -> tuple[int, int]:
    """Positions that `percentile_of_runs` reads among N sorted records: (lowest, from the top).

    lo = max(0, round(N p / 100)) and hi = min(N - 1, round(N (1 - p / 100))), halves away from
    zero, in float32, as the Graph Transform Tool has it; the second number is N - 1 - hi.
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
        wanted = calibrator.rule.by_values
        self.channel_values = RangeHistogram(channels, CHANNEL_BINS) if wanted else None

    def add(self, activations: NDArray[np.float32]) -> None:
        """Takes in fp32 activations [N, ..., C].

        Raises:
            NonFiniteError: an activation is NaN or infinite.
        """
        x = activations.reshape(activations.shape[0], -1, activations.shape[-1])
        low = np.empty((x.shape[0], x.shape[2] + 1), np.float32)
        high = np.empty_like(low)
        refuse_non_finite(loops.channel_extrema(x, low, high))
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
        low, high = calibrator.rule.ends(self, calibrator.percentile)
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
