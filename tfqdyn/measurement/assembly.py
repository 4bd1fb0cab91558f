"""What was measured -> the records of `results`: one row per layer, the model, the versions."""

import hashlib
import platform
from collections.abc import Sequence
from functools import reduce
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tfqdyn
from tfqdyn import datasets
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.measurement import tasks
from tfqdyn.measurement.layerstats import PairSums, ValueSums, WeightStats, weight_stats
from tfqdyn.measurement.measured import Measured, Trial
from tfqdyn.network.folding import BatchNorm, Folded
from tfqdyn.network.graph import Graph, LayerNode
from tfqdyn.numerics import metrics
from tfqdyn.numerics.grid import QuantParams, RealGrid
from tfqdyn.quantization.calibration import SiteRange
from tfqdyn.quantization.deployed import Format
from tfqdyn.results import (
    ActivationRow,
    ChannelRow,
    HistogramRow,
    InputRecord,
    LayerResult,
    ModelRecord,
    WeightRow,
    spread,
)
from tfqdyn.schemes import UINT8
from tfqdyn.tflite import interpreter
from tfqdyn.tflite.floatfile import graph_of


def data_of(data: Any, model: Any) -> Dataset:
    """Data as people have them, as a data set for a model; see `datasets.given`.

    Raises:
        DataError: they are nothing that is taken, or do not fit the model's inputs.
    """
    shapes = datasets.shapes_of(model)
    if shapes is None:
        if isinstance(data, Dataset):
            return datasets.with_class_numbers(data)
        shapes = graph_of(model, None).input_shapes
    return datasets.given(data, shapes)


def checked(
    model: Any, dataset: Dataset, config: AnalysisConfig, scheme: str | None = UINT8
) -> tuple[Graph, Dataset, AnalysisConfig]:
    """A model, lowered, with data in the form of its inputs, and what labels are to be.

    Args:
        model: of Keras, or a float file.
        dataset: with or without labels.
        config: of the analysis.
        scheme: whose rounding of ours must take it (`config.rounding`); None for any.

    Raises:
        UnsupportedModelError, DataError: the scheme does not take the model, the data are not its,
            or the labels fit no output.
    """
    graph = graph_of(model, scheme)
    fitted = datasets.fitted(dataset, graph.input_shapes)
    return graph, fitted, tasks.settled(graph, fitted, config)


def layer_results(parts: Sequence[Measured], bins: int) -> tuple[LayerResult, ...]:
    """The rows of the layer table, in graph order.

    Args:
        parts: what was measured, of networks with the same rows.
        bins: of the kernels' histograms.
    """
    trials = [trial for part in parts for trial in part.trials]
    pairs = [sums for part in parts for sums in part.pairs]
    folded = trials[0].folded
    return tuple(
        layer_result(
            row,
            folded.held_against[row.name],
            [trial.sites[i] for trial in trials],
            [sums[i] for sums in pairs],
            reduce(ValueSums.merge, [part.values[i] for part in parts]),
            _kernels(folded, row, bins),
            folded.batch_norms.get(row.name),
            trials[0].deployed.format(row.name),
            [scale_and_zero(trial.deployed.grid(row.name)) for trial in trials],
        )
        for i, row in enumerate(trials[0].deployed.rows)
    )


def _kernels(folded: Folded, row: LayerNode, bins: int) -> tuple[WeightStats, WeightStats] | None:
    """Statistics of a layer's kernel before folding, and as it is quantized."""
    if not row.has_kernel:
        return None
    node = folded.deployed.by_name[row.name]
    axes = node.layout.channel_axes
    before = weight_stats(folded.kernels[row.name], axes, bins)
    return before, weight_stats(node.weights["kernel"], axes, bins)


def layer_result(
    row: LayerNode,
    reference: str,
    sites: Sequence[SiteRange],
    sums: Sequence[PairSums],
    values: ValueSums,
    kernels: tuple[WeightStats, WeightStats] | None,
    batch_norm: BatchNorm | None,
    held: Format,
    quantization: Sequence[tuple[float, int] | None],
) -> LayerResult:
    """One row of the layer table.

    Args:
        row: what it is.
        reference: whose fp32 values it is held against, see `LayerResult`.
        sites: its calibrated range in every trial.
        sums: its comparison in every trial.
        values: of its fp32 activations.
        kernels: of its kernel before folding, and as it is quantized; None without one.
        batch_norm: what was folded into it, if any.
        held: how its output and kernel are held.
        quantization: scale and zero point of its output in every trial.
    """
    ranges = [site.high - site.low for site in sites]
    channel_ranges = [site.channel_high - site.channel_low for site in sites]
    precisions = [
        metrics.precision_of_ranges(c, r) for c, r in zip(channel_ranges, ranges, strict=True)
    ]
    divergences = [s.divergences for s in sums]
    weights, folded_weights = kernels or (None, None)
    return LayerResult(
        number=row.number,
        name=row.name,
        kind=row.kind,
        output_shape=row.output_shape,
        producers=row.producers,
        reference=reference,
        macs=row.macs,
        params=row.params,
        weights=_weight_row(weights),
        folded_weights=_weight_row(folded_weights),
        activations=ActivationRow(spread(ranges), spread(precisions)),
        qmse=spread([s.qmse for s in sums]),
        qce=spread([d[1] for d in divergences]),
        qkl_div=spread([d[2] for d in divergences]),
        entropy=spread([d[0] for d in divergences]),
        sqnr_db=spread([s.sqnr_db for s in sums]),
        sqnr_pooled_db=spread([s.sqnr_pooled_db for s in sums]),
        sqnr_infinite=spread([s.sqnr_infinite for s in sums]),
        outside_share=spread([s.outside_share for s in sums]),
        clipped_share=spread([s.clipped_share for s in sums]),
        rms=values.rms,
        sparsity=values.sparsity,
        kurtosis=values.kurtosis,
        kl_to_uniform=spread([metrics.kl_to_uniform(site.histogram) for site in sites]),
        quantization=tuple(quantization),
        channels=ChannelRow(
            weight_range=None if weights is None else _numbers(weights.channel_ranges),
            folded_weight_range=(
                None if folded_weights is None else _numbers(folded_weights.channel_ranges)
            ),
            folded_weight_precision=_precisions(folded_weights),
            activation_range=_numbers(np.mean(channel_ranges, axis=0)),
            activation_precision=_numbers(_channel_precisions(channel_ranges, ranges)),
            sqnr_db=_numbers(_pooled_channels(sums)),
            batch_norm_variance=None if batch_norm is None else _numbers(batch_norm.variance),
            batch_norm_epsilon=None if batch_norm is None else batch_norm.epsilon,
            folded_weight_low=(
                None if folded_weights is None else _numbers(folded_weights.channel_lows)
            ),
        ),
        dtype=held.dtype,
        kernel_grid=held.kernel,
        flags=_flags(folded_weights, ranges),
        weight_bits=held.weight_bits,
        activation_bits=held.activation_bits,
        operator=held.operator,
        histogram=_histogram(sums[0]),
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


def _weight_row(stats: WeightStats | None) -> WeightRow | None:
    if stats is None:
        return None
    return WeightRow(
        stats.range, stats.average_precision, stats.sparsity, stats.kurtosis, stats.kl_to_uniform
    )


def _numbers(array: NDArray) -> tuple[float, ...]:
    return tuple(float(x) for x in array)


def _precisions(stats: WeightStats | None) -> tuple[float, ...] | None:
    if stats is None:
        return None
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


def _flags(folded_weights: WeightStats | None, ranges: Sequence[float]) -> tuple[str, ...]:
    found = []
    if folded_weights is not None and folded_weights.range == 0:
        found.append("constant kernel: range 0, precision 1 by definition")
    if any(r == 0 for r in ranges):
        found.append("constant activations: range 0, precision 1 by definition")
    return tuple(found)


def model_record(graph: Graph, trials: Sequence[Trial]) -> ModelRecord:
    """Name and sizes of a folded network."""
    parameters = sum(w.size for node in graph for w in node.weights.values())
    return ModelRecord(
        name=graph.name,
        parameters=parameters,
        macs=sum(node.macs for node in graph),
        bytes_fp32=4 * parameters,
        bytes_quantized=trials[0].deployed.size,
        weight_ties=tuple(trial.deployed.ties for trial in trials),
    )


def input_records(parts: Sequence[Measured]) -> tuple[InputRecord, ...]:
    """The inputs' names, and root mean squares of the preprocessed images that were scored."""
    found = []
    for place, name in enumerate(parts[0].trials[0].folded.graph.inputs):
        powers = np.concatenate([part.powers[place] for part in parts])
        found.append(InputRecord(name, float(np.sqrt(powers.mean()))))
    return tuple(found)


def versions() -> dict[str, str]:
    """Versions of what the figures depend on."""
    return {
        "python": platform.python_version(),
        "tensorflow": version("tensorflow"),
        "keras": version("keras"),
        "numpy": version("numpy"),
        "tfqdyn": tfqdyn.__version__,
        "interpreter": interpreter.name(),
    }


def digest_of(digests: Sequence[bytes], labels: NDArray | None) -> str:
    """SHA-256 over the images' digests, in order, and the labels, if there are any."""
    told = b""
    if labels is not None:
        told = labels.astype("<i8" if labels.dtype.kind in "ui" else "<f8").tobytes()
    return hashlib.sha256(b"".join(digests) + told).hexdigest()
