"""One row of the layer table: what was measured of a layer -> its record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.measurement.layerstats import PairSums, ValueSums, WeightStats
from tfqdyn.network.folding import BatchNorm
from tfqdyn.network.graph import LayerNode
from tfqdyn.numerics import metrics
from tfqdyn.numerics.grid import QuantParams, RealGrid
from tfqdyn.quantization.calibration import SiteRange
from tfqdyn.quantization.deployed import Format
from tfqdyn.results import (
    ActivationRow,
    ChannelRow,
    HistogramRow,
    LayerResult,
    WeightRow,
    spread,
)


@dataclass(frozen=True, eq=False)
class RowTrials:
    """A row in every trial.

    Attributes:
        sites: its calibrated range.
        sums: its comparison.
        grids: scale and zero point of its output; None where it has none.
    """

    sites: Sequence[SiteRange]
    sums: Sequence[PairSums]
    grids: Sequence[tuple[float, int] | None]

    @property
    def ranges(self) -> list[float]:
        """Of the activations, calibrated."""
        return [site.high - site.low for site in self.sites]

    @property
    def channel_ranges(self) -> list[NDArray]:
        """The same of every channel, [C] each."""
        return [site.channel_high - site.channel_low for site in self.sites]


@dataclass(frozen=True, eq=False)
class Kernels:
    """A row's kernel.

    Attributes:
        before: as it was before folding.
        deployed: as it is quantized.
        batch_norm: what was folded into it, if any.
    """

    before: WeightStats
    deployed: WeightStats
    batch_norm: BatchNorm | None = None


def layer_result(
    row: LayerNode,
    reference: str,
    trials: RowTrials,
    values: ValueSums,
    kernels: Kernels | None,
    held: Format,
) -> LayerResult:
    """One row of the layer table.

    Args:
        row: what it is.
        reference: whose fp32 values it is held against, see `LayerResult`.
        trials: what it came to in each.
        values: of its fp32 activations.
        kernels: None without one.
        held: how its output and kernel are held.
    """
    ranges, channels = trials.ranges, trials.channel_ranges
    precisions = [metrics.precision_of_ranges(c, r) for c, r in zip(channels, ranges, strict=True)]
    return LayerResult(
        number=row.number,
        name=row.name,
        kind=row.kind,
        output_shape=row.output_shape,
        producers=row.producers,
        reference=reference,
        macs=row.macs,
        params=row.params,
        weights=None if kernels is None else _weight_row(kernels.before),
        folded_weights=None if kernels is None else _weight_row(kernels.deployed),
        activations=ActivationRow(spread(ranges), spread(precisions)),
        **_distances(trials.sums),
        rms=values.rms,
        sparsity=values.sparsity,
        kurtosis=values.kurtosis,
        kl_to_uniform=spread([metrics.kl_to_uniform(site.histogram) for site in trials.sites]),
        quantization=tuple(trials.grids),
        channels=_channel_row(trials, kernels),
        dtype=held.dtype,
        kernel_grid=held.kernel,
        flags=_flags(kernels, ranges),
        weight_bits=held.weight_bits,
        activation_bits=held.activation_bits,
        operator=held.operator,
        histogram=_histogram(trials.sums[0]),
    )


def _distances(sums: Sequence[PairSums]) -> dict[str, Any]:
    """How far the quantized values are from the fp32 ones, by the names of `LayerResult`."""
    entropies, cross_entropies, divergences = zip(*[s.divergences for s in sums], strict=True)
    return {
        "qmse": spread([s.qmse for s in sums]),
        "qce": spread(cross_entropies),
        "qkl_div": spread(divergences),
        "entropy": spread(entropies),
        "sqnr_db": spread([s.sqnr_db for s in sums]),
        "sqnr_pooled_db": spread([s.sqnr_pooled_db for s in sums]),
        "sqnr_infinite": spread([s.sqnr_infinite for s in sums]),
        "outside_share": spread([s.outside_share for s in sums]),
        "clipped_share": spread([s.clipped_share for s in sums]),
    }


def _channel_row(trials: RowTrials, kernels: Kernels | None) -> ChannelRow:
    ranges, channels = trials.ranges, trials.channel_ranges
    of_kernel: dict[str, Any] = dict.fromkeys(
        ("weight_range", "folded_weight_range", "folded_weight_precision", "folded_weight_low",
         "batch_norm_variance", "batch_norm_epsilon")
    )  # fmt: skip
    if kernels is not None:
        of_kernel |= {
            "weight_range": _numbers(kernels.before.channel_ranges),
            "folded_weight_range": _numbers(kernels.deployed.channel_ranges),
            "folded_weight_precision": _precisions(kernels.deployed),
            "folded_weight_low": _numbers(kernels.deployed.channel_lows),
        }
        if (norm := kernels.batch_norm) is not None:
            of_kernel["batch_norm_variance"] = _numbers(norm.variance)
            of_kernel["batch_norm_epsilon"] = norm.epsilon
    return ChannelRow(
        activation_range=_numbers(np.mean(channels, axis=0)),
        activation_precision=_numbers(_channel_precisions(channels, ranges)),
        sqnr_db=_numbers(_pooled_channels(trials.sums)),
        **of_kernel,
    )


def scale_and_zero(grid: QuantParams | RealGrid | None) -> tuple[float, int] | None:
    """Step of a grid and the code of 0; None without a grid."""
    if grid is None:
        return None
    if isinstance(grid, RealGrid):
        return grid.step, round(-grid.low / grid.step)
    return float(grid.scale), int(grid.zero_point)


def _histogram(sums: PairSums) -> HistogramRow:
    p, q = sums.histograms
    low, high = map(float, sums.edges)
    return HistogramRow(low, high, tuple(map(int, p)), tuple(map(int, q)))


def _weight_row(stats: WeightStats) -> WeightRow:
    return WeightRow(
        stats.range, stats.average_precision, stats.sparsity, stats.kurtosis, stats.kl_to_uniform
    )


def _numbers(array: NDArray) -> tuple[float, ...]:
    return tuple(float(x) for x in array)


def _precisions(stats: WeightStats) -> tuple[float, ...]:
    if stats.range == 0:
        return (1.0,) * len(stats.channel_ranges)
    return _numbers(stats.channel_ranges / stats.range)


def _channel_precisions(channel_ranges: Sequence[NDArray], ranges: Sequence[float]) -> NDArray:
    return np.mean(
        [c / r if r else np.ones_like(c) for c, r in zip(channel_ranges, ranges, strict=True)],
        axis=0,
    )


def _pooled_channels(sums: Sequence[PairSums]) -> NDArray[np.float64]:
    """SQNR of every channel in dB, of the sums over all trials."""
    signal, error = np.sum([s.channels for s in sums], axis=0)
    return metrics.decibels(signal, error)


def _flags(kernels: Kernels | None, ranges: Sequence[float]) -> tuple[str, ...]:
    found = []
    if kernels is not None and kernels.deployed.range == 0:
        found.append("constant kernel: range 0, precision 1 by definition")
    if any(r == 0 for r in ranges):
        found.append("constant activations: range 0, precision 1 by definition")
    return tuple(found)
