"""Running sums of one layer, image by image, and what they come to.

`PairSums` holds an fp32 tensor against its quantized form under one trial; `ValueSums` describes
the fp32 tensor alone; `WeightStats` a kernel. All sums are float64 and additive: chunks are added
in order, and averages never averaged.
"""

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfqdyn.numerics import loops, metrics
from tfqdyn.numerics.finiteness import refuse_non_finite
from tfqdyn.numerics.grid import LIMITS, QuantParams, RealGrid, dequantize
from tfqdyn.quantization.calibration import SiteRange


@dataclass(frozen=True)
class HistogramConfig:
    """How hidden QCE and QKL-Div are computed: number of bins, and what each bin's share gains."""

    bins: int = metrics.BINS
    epsilon: float = metrics.EPSILON


@dataclass(frozen=True, eq=False)
class WeightStats:
    """A kernel's distribution: ranges are raw extrema, channels are output channels.

    Attributes:
        range: of the tensor, >= 0.
        average_precision: in (0, 1] (Yun & Wong Eq. 2).
        sparsity: share of exact zeros, in [0, 1].
        kurtosis: excess kurtosis; NaN for a constant kernel.
        kl_to_uniform: in nats, >= 0, over the kernel's own bounds.
        channel_ranges: [K].
        channel_lows: [K], each channel's least weight.
    """

    range: float
    average_precision: float
    sparsity: float
    kurtosis: float
    kl_to_uniform: float
    channel_ranges: NDArray[np.float64]
    channel_lows: NDArray[np.float64]


def weight_stats(kernel: NDArray, channel_axes: tuple[int, ...], bins: int) -> WeightStats:
    """Describes a kernel; `channel_axes` are the axes that count its output channels."""
    ranges = metrics.channel_ranges(kernel, channel_axes)
    tensor_range = metrics.dynamic_range(kernel)
    return WeightStats(
        range=tensor_range,
        average_precision=metrics.precision_of_ranges(ranges, tensor_range),
        sparsity=metrics.sparsity(kernel),
        kurtosis=metrics.excess_kurtosis(kernel),
        kl_to_uniform=metrics.kl_to_uniform(metrics.histogram(kernel, bins)),
        channel_ranges=ranges,
        channel_lows=metrics.channel_lows(kernel, channel_axes),
    )


class ValueSums:
    """Count, zeros and the first four raw moments of a layer's fp32 activations."""

    def __init__(self) -> None:
        self.sums = np.zeros(len(loops.MOMENTS))

    def merge(self, other: "ValueSums") -> "ValueSums":
        """The sums over both sets of images."""
        merged = ValueSums()
        merged.sums = self.sums + other.sums
        return merged

    @property
    def sparsity(self) -> float:
        """Share of exact zeros, in [0, 1]."""
        return float(self.sums[loops.ZEROS] / self.sums[loops.COUNT])

    @property
    def rms(self) -> float:
        """Root mean square."""
        return float(np.sqrt(self.sums[loops.SECOND] / self.sums[loops.COUNT]))

    @property
    def kurtosis(self) -> float:
        """Excess kurtosis from raw moments; NaN where all values are equal."""
        mean, second, third, fourth = self.sums[loops.FIRST :] / self.sums[loops.COUNT]
        variance = second - mean**2
        if variance <= 1e-14 * second:
            return float("nan")
        centred = fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4
        return float(centred / variance**2 - 3.0)


def mean_decibels(totals: NDArray[np.float64]) -> float:
    """Mean over images of SQNR in dB, where it is finite; `totals` as in `kernels`.

    Where it is of no image: +inf if none has an error, -inf if some have (and no signal then).
    """
    finite = totals[loops.IMAGES] - totals[loops.INFINITE]
    if finite:
        return float(totals[loops.DECIBELS] / finite)
    return float("-inf") if totals[loops.ERROR] else float("inf")


def pooled_decibels(totals: NDArray[np.float64]) -> float:
    """SQNR in dB of the sums over all images; `totals` as in `kernels`."""
    return float(metrics.decibels(totals[loops.SIGNAL], totals[loops.ERROR]))


class PairSums:
    """A layer's fp32 activations against the quantized ones, under one trial's calibration.

    The histograms' edges are the union of the extrema that calibration observed and of the grid,
    so that clipped values do not share the end bin with the codes that they saturate at.

    Args:
        site: the layer's calibrated range and extrema.
        grid: what the layer's values are, see `deployed.Deployed.grid`.
        channels: C.
        config: bins and epsilon of the histograms.
    """

    def __init__(
        self,
        site: SiteRange,
        grid: QuantParams | RealGrid | None,
        channels: int,
        config: HistogramConfig,
    ) -> None:
        self.config = config
        self.params = grid if isinstance(grid, QuantParams) else None
        low, high, step = -np.inf, np.inf, 0.0
        if isinstance(grid, QuantParams):
            (low, high), step = map(float, grid.range), float(grid.scale)
        elif grid is not None:
            low, high, step = grid.low, grid.high, grid.step
        observed = [site.minimum, site.maximum]
        ends = [*observed, low, high] if step else observed
        first, last = min(ends), max(ends)
        self.edges = (first, last if last > first else first + 1.0)
        self._inside = _inner_float32(*self.edges)
        self._fits = _inner_float32(low - step / 2, high + step / 2)
        self.channels = np.zeros((2, channels))
        self.totals = np.zeros(len(loops.TOTALS))
        self.p_counts = np.zeros((loops.LANES, config.bins), np.int64)
        width = 256 if _counts_codes(self.params) else config.bins
        self.q_counts = np.zeros((loops.LANES, width), np.int64)

    def add(self, x: NDArray[np.float32], q: NDArray, values: ValueSums | None = None) -> None:
        """Adds images: fp32 [N, ..., C] and codes (or fp32 values) of the same size.

        `values` takes in the fp32 side as well, in the same pass over memory.

        Raises:
            NonFiniteError: a value is NaN or infinite; the sums are of no use then.
        """
        scale, zero = 1.0, 0.0
        if self.params is not None:
            scale, zero = float(self.params.scale), float(self.params.zero_point)
        channels = self.channels.shape[1]
        shape = (len(x), x[0].size // channels, channels)
        broken = loops.compare(
            x.reshape(shape), q.reshape(shape), scale, zero, self.edges, self._inside, self._fits,
            np.zeros(0) if values is None else values.sums,
            self.channels, self.totals, self.p_counts, self.q_counts,
        )  # fmt: skip
        refuse_non_finite(broken)

    def merge(self, other: "PairSums") -> "PairSums":
        """The sums over both sets of images, of one layer under one calibration."""
        merged = copy.copy(self)
        for name in ("channels", "totals", "p_counts", "q_counts"):
            setattr(merged, name, getattr(self, name) + getattr(other, name))
        return merged

    @property
    def elements(self) -> int:
        """How many values were compared."""
        return int(self.p_counts.sum())

    @property
    def qmse(self) -> float:
        """Mean over all elements of (fp32 - dequantized)^2."""
        return float(self.totals[loops.ERROR] / self.elements)

    @property
    def sqnr_db(self) -> float:
        """Mean of the images' SQNR in dB (Sheng et al.), see `mean_decibels`."""
        return mean_decibels(self.totals)

    @property
    def sqnr_infinite(self) -> int:
        """How many images have an infinite SQNR, and are no part of the mean."""
        return int(self.totals[loops.INFINITE])

    @property
    def sqnr_pooled_db(self) -> float:
        """SQNR in dB of the sums over all images."""
        return pooled_decibels(self.totals)

    @property
    def channel_sqnr_db(self) -> NDArray[np.float64]:
        """Pooled SQNR of every channel in dB, [C]."""
        return metrics.decibels(*self.channels)

    @property
    def outside_share(self) -> float:
        """Share of fp32 values beyond the histogram's edges (counted in its end bins)."""
        return float(self.totals[loops.OUTSIDE] / self.elements)

    @property
    def clipped_share(self) -> float:
        """Share of fp32 values that saturate: more than half a step beyond the grid."""
        return float(self.totals[loops.CLIPPED] / self.elements)

    @property
    def histograms(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Counts [bins] of the fp32 and of the dequantized values over `edges`."""
        p, q = self.p_counts.sum(axis=0), self.q_counts.sum(axis=0)
        if self.params is None or not _counts_codes(self.params):
            return p, q
        lowest = LIMITS[self.params.dtype][0]
        values = dequantize(np.arange(256) + lowest, self.params)
        low, high = self.edges
        place = ((values - low) * (len(p) / (high - low))).astype(int).clip(0, len(p) - 1)
        return p, np.bincount(place, q, len(p)).astype(np.int64)

    @property
    def divergences(self) -> tuple[float, float, float]:
        """(H(P), QCE, QKL-Div) in nats of the two histograms (Yun & Wong, section 3)."""
        p, q = (metrics.probabilities(c, self.config.epsilon) for c in self.histograms)
        kl = metrics.kl_divergence(p, q)
        return metrics.entropy(p), metrics.entropy(p) + kl, kl


def _counts_codes(params: QuantParams | None) -> bool:
    """Whether a histogram has one bin a code: 8-bit codes, that is."""
    return params is not None and params.dtype in ("uint8", "int8")


def _inner_float32(low: float, high: float) -> tuple[np.float32, np.float32]:
    """The float32 bounds that hold the same float32 values as [low, high]."""
    first, last = np.float32(low), np.float32(high)
    if first < low:
        first = np.nextafter(first, np.float32(np.inf))
    if last > high:
        last = np.nextafter(last, np.float32(-np.inf))
    return first, last
