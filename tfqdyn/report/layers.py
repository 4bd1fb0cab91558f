"""Rows of the layer table and their channels as the page's data: short, and only what JSON knows.

A figure is `[mean, deviation over trials]`, the deviation null for one trial or a figure that a run
has once. Figures are rounded to `DIGITS` significant digits, channels to `CHANNEL_DIGITS`: a page
shows three. Infinities are "inf" and "-inf".
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from tfqdyn.report.facts import facts
from tfqdyn.results import SOURCES, HistogramRow, LayerResult, Spread, plain
from tfqdyn.results.layervalues import LAYER_VALUES, Value, mean_of

DIGITS = 5
CHANNEL_DIGITS = 4

COLUMNS = (
    "weight_range", "folded_weight_range", "folded_weight_average_precision", "activation_range",
    "activation_average_precision", "sqnr_pooled_db", "own_sqnr_pooled_db", "qmse", "qce",
    "qkl_div", "clipped_share",
)  # fmt: skip
"""The values of the layer table, in order; those that no run has are left out."""
SHOWN = (
    *COLUMNS, "weight_average_precision", "own_qmse", "inherited_qmse",
    *(f"source_sqnr_db_{name}" for name in SOURCES),
)  # fmt: skip
"""All values of a layer that the page can show."""


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
    figures = {name: _figure(LAYER_VALUES[name].read(layer)) for name in SHOWN}
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
    mean, std = mean_of(value), value.std if isinstance(value, Spread) else None
    if mean is None:
        return None
    return plain([rounded(mean), None if std is None or math.isnan(std) else rounded(std)])


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
