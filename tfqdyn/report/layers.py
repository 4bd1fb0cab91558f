"""Rows of the layer table and their channels as the page's data: short, and only what JSON knows.

A figure is `[mean, deviation over trials]`, the deviation null for one trial or a figure that a run
has once. Figures are rounded to `DIGITS` significant digits, channels to `CHANNEL_DIGITS`: a page
shows three. Infinities are "inf" and "-inf".
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfqdyn.report.facts import facts
from tfqdyn.results import SOURCES, HistogramRow, LayerResult, Spread, WeightRow, plain

DIGITS = 5
CHANNEL_DIGITS = 4

Value = float | Spread | None


@dataclass(frozen=True)
class Metric:
    """One figure of a layer: its title (and unit), a column's heading, and how to read it off."""

    title: str
    heading: str
    value: Callable[[LayerResult], Value]


def _of_weights(
    row: Callable[[LayerResult], WeightRow | None], name: str
) -> Callable[[LayerResult], Value]:
    return lambda layer: None if row(layer) is None else getattr(row(layer), name)


def _source(name: str) -> Callable[[LayerResult], Value]:
    return lambda layer: layer.own and layer.own.source_sqnr_db.get(name)


METRICS: Mapping[str, Metric] = {
    "range_weights": Metric(
        "Range, weights", "range, weights", _of_weights(lambda r: r.weights, "range")
    ),
    "range_folded": Metric(
        "Range, folded weights",
        "range, folded",
        _of_weights(lambda r: r.folded_weights, "range"),
    ),
    "range_activations": Metric(
        "Range, activations", "range, activations", lambda r: r.activations.range
    ),
    "precision_weights": Metric(
        "Precision, weights",
        "precision, weights",
        _of_weights(lambda r: r.weights, "average_precision"),
    ),
    "precision_folded": Metric(
        "Precision, folded weights",
        "precision, folded",
        _of_weights(lambda r: r.folded_weights, "average_precision"),
    ),
    "precision_activations": Metric(
        "Precision, activations",
        "precision, activations",
        lambda r: r.activations.average_precision,
    ),
    "sqnr": Metric("SQNR in dB", "SQNR dB", lambda r: r.sqnr_pooled_db),
    "qmse": Metric("QMSE", "QMSE", lambda r: r.qmse),
    "qce": Metric("QCE in nats", "QCE", lambda r: r.qce),
    "qkl_div": Metric("QKL-Div in nats", "QKL-Div", lambda r: r.qkl_div),
    "own_sqnr": Metric("Own SQNR in dB", "own SQNR dB", lambda r: r.own and r.own.sqnr),
    "own_qmse": Metric("Own QMSE", "own QMSE", lambda r: r.own and r.own.qmse),
    "inherited_qmse": Metric(
        "Inherited QMSE", "inherited QMSE", lambda r: r.own and r.own.inherited_qmse
    ),
    "clipped": Metric("Share of values clipped", "clipped", lambda r: r.clipped_share),
    **{f"source_{n}": Metric(f"SQNR with {n} alone, in dB", n, _source(n)) for n in SOURCES},
}
"""Every figure of a layer that the page can show, by the name that its data give it."""

COLUMNS = (
    "range_weights", "range_folded", "precision_folded", "range_activations",
    "precision_activations", "sqnr", "own_sqnr", "qmse", "qce", "qkl_div", "clipped",
)  # fmt: skip
"""The figures of the layer table, in order; those that no run has are left out."""


def rounded(value: float, digits: int = DIGITS) -> float:
    """A number with so many significant digits."""
    return float(f"{value:.{digits}g}")


def layer_records(layers: Sequence[LayerResult]) -> list[dict[str, Any]]:
    """The page's record of every layer, in graph order."""
    return [_record(layer, place) for layer, place in zip(layers, _places(layers), strict=True)]


def _places(layers: Sequence[LayerResult]) -> list[float]:
    """Where layers stand on the x axis: at their number; ops without one between their neighbours.

    The k-th of n such ops after layer i stands at i + k / (n + 1).
    """
    numbers: list[int] = []
    last = 0
    for layer in layers:
        last = last if layer.number is None else layer.number
        numbers.append(last)
    places = []
    for i, layer in enumerate(layers):
        if layer.number is not None:
            places.append(float(layer.number))
            continue
        same = [j for j, n in enumerate(numbers) if n == numbers[i] and layers[j].number is None]
        places.append(rounded(numbers[i] + (same.index(i) + 1) / (len(same) + 1)))
    return places


def _grid(layer: LayerResult) -> list[float] | None:
    """Step, and the 8-bit code of 0 counted from the lowest; None for floats and other widths."""
    step, lowest = layer.quantization[0], {"uint8": 0, "int8": -128}.get(layer.dtype)
    return None if step is None or lowest is None else [rounded(step[0], 8), step[1] - lowest]


def _weight_step(layer: LayerResult) -> float | None:
    """Step of the one grid that holds the whole kernel; None where there is none."""
    stored = layer.kernel_grid
    if stored is not None:
        return rounded(stored.scale[0], 8) if len(stored.scale) == 1 else None
    if layer.folded_weights is None or layer.quantization[0] is None:
        return None
    return rounded(layer.folded_weights.range / 255, 8)


def _record(layer: LayerResult, place: float) -> dict[str, Any]:
    figures = {name: _figure(metric.value(layer)) for name, metric in METRICS.items()}
    return {
        "number": layer.number,
        "place": place,
        "name": layer.name,
        "kind": layer.kind,
        "shape": " \N{MULTIPLICATION SIGN} ".join(map(str, layer.output_shape)),
        "macs": layer.macs,
        "params": layer.params,
        "producers": list(layer.producers),
        "figures": {name: figure for name, figure in figures.items() if figure is not None},
        "channels": _channels(layer),
        "histogram": _histogram(layer.histogram),
        "grid": _grid(layer),
        "weight_step": _weight_step(layer),
        "facts": facts(layer),
    }


def _figure(value: Value) -> list[Any] | None:
    if value is None:
        return None
    if not isinstance(value, Spread):
        value = Spread(value, None, ())
    if math.isnan(value.mean):
        return None
    std = None if value.std is None or math.isnan(value.std) else rounded(value.std)
    return plain([rounded(value.mean), std])


def _channels(layer: LayerResult) -> dict[str, Any]:
    channels = layer.channels
    found = {
        "range": channels.folded_weight_range,
        "low": channels.folded_weight_low,
        "activations": channels.activation_range,
        "sqnr": channels.sqnr_db,
    }
    return {name: _numbers(values) for name, values in found.items() if values is not None}


def _numbers(values: Iterable[float]) -> list[Any]:
    return plain([rounded(value, CHANNEL_DIGITS) for value in values])


def _histogram(histogram: HistogramRow | None) -> dict[str, Any] | None:
    if histogram is None:
        return None
    return {
        "low": rounded(histogram.low, 8),
        "high": rounded(histogram.high, 8),
        "fp32": list(histogram.fp32),
        "quantized": list(histogram.quantized),
    }
