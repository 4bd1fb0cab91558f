"""Which layers to look at first, and why, in words.

Layers are ranked by an estimate of the error that they make themselves. Rounding adds noise of
variance step^2 / 12 to every weight and every output code, so at a layer's output

    noise = taps * rms(input)^2 * weight_step^2 / 12 + output_step^2 / 12

(the squared weight step is the mean over channels where each has its own; floats have none)
and its own SQNR is 20 log10(rms(output) / sqrt(noise)) dB. Root mean squares are those of the
scored images, the network's input included; a layer with weights whose input has none (a .tflite
file that holds no tensor of it) is not estimated. The measured SQNR, in contrast, holds whatever
the layers before it did as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, log10, prod
from statistics import median

from tfqdyn.numerics.grid import NARROWEST
from tfqdyn.results.records import LayerResult
from tfqdyn.results.run import RunResult

LOW_PRECISION = 0.25
"""Average precision below which one channel is said to span the tensor."""


@dataclass(frozen=True)
class Reason:
    """A layer, its estimated own SQNR in dB (lower is worse), and the cause in words."""

    layer: LayerResult
    own_sqnr_db: float
    text: str


def worst_layers(result: RunResult, count: int = 5) -> list[Reason]:
    """The layers that add most error of their own, worst first; `not_estimated` are left out."""
    known = _known_rms(result)
    reasons = [
        _reason(layer, known)
        for layer in result.layers
        if _is_quantized(layer) and not _needs_more(layer, known)
    ]
    return sorted(reasons, key=lambda reason: reason.own_sqnr_db)[:count]


def not_estimated(result: RunResult) -> list[str]:
    """Names of the quantized layers whose own error cannot be estimated: see the module."""
    known = _known_rms(result)
    return [
        layer.name for layer in result.layers if _is_quantized(layer) and _needs_more(layer, known)
    ]


def _known_rms(result: RunResult) -> dict[str, float]:
    """Root mean squares by name of the rows and, where the run recorded them, of the inputs."""
    first = () if result.data.input is None else (result.data.input,)
    given = {source.name: source.rms for source in (*first, *result.data.inputs)}
    return given | {layer.name: layer.rms for layer in result.layers}


def _needs_more(layer: LayerResult, known: Mapping[str, float]) -> bool:
    return _weight_step_squared(layer) > 0 and layer.producers[0] not in known


def _is_quantized(layer: LayerResult) -> bool:
    in_codes = layer.quantization[0] is not None or _weight_step_squared(layer) > 0
    return layer.kind != "softmax" and in_codes and layer.rms > 0


def _weight_step_squared(layer: LayerResult) -> float:
    """Mean over channels of the squared step of the weights' grid."""
    if layer.folded_weights is None:
        return 0.0
    if layer.kernel_grid is None:
        return (layer.folded_weights.range / 255) ** 2
    steps = layer.kernel_grid.scale
    return sum(step**2 for step in steps) / len(steps) if steps else 0.0


def sources(result: RunResult) -> dict[str, tuple[float, float]]:
    """SQNR in dB that rounding the weights alone, and the output alone, would leave, by layer.

    Of the quantized layers but `not_estimated`; +inf where nothing is rounded.
    """
    known = _known_rms(result)
    found = {}
    for layer in result.layers:
        if _is_quantized(layer) and not _needs_more(layer, known):
            from_weights, rounding = _noises(layer, known)
            found[layer.name] = _decibels(layer, from_weights), _decibels(layer, rounding)
    return found


def _noises(layer: LayerResult, known: Mapping[str, float]) -> tuple[float, float]:
    """Variances of the noise at a layer's output: from its weights, and from its output's codes."""
    step = sum(q[0] for q in layer.quantization if q) / len(layer.quantization)
    if layer.folded_weights is None:
        return 0.0, step**2 / 12
    taps = layer.macs / prod(layer.output_shape)
    input_rms = known.get(layer.producers[0], 0.0)
    return taps * input_rms**2 * _weight_step_squared(layer) / 12, step**2 / 12


def _decibels(layer: LayerResult, noise: float) -> float:
    return 20 * log10(layer.rms) - 10 * log10(noise) if noise else inf


def _reason(layer: LayerResult, known: Mapping[str, float]) -> Reason:
    from_weights, rounding = _noises(layer, known)
    own = _decibels(layer, from_weights + rounding)
    return Reason(layer, own, _text(layer, from_weights > rounding))


def _text(layer: LayerResult, weights_dominate: bool) -> str:
    weights = layer.folded_weights
    if layer.flags:
        return "; ".join(layer.flags)
    if weights is not None and weights_dominate:
        ranges = layer.channels.folded_weight_range or ()
        if layer.kernel_grid is not None and len(layer.kernel_grid.scale) > 1:
            return f"weights span {weights.range:.3g}, rounded channel by channel"
        if weights.average_precision < LOW_PRECISION:
            return f"average precision {weights.average_precision:.2g}: {_spread_of(ranges)}"
        return (
            f"weights span {weights.range:.3g}, average precision {weights.average_precision:.2g}"
        )
    if layer.activations.range.mean < NARROWEST:
        return (
            f"activations vanish: they span {layer.activations.range.mean:.1g}, TFLite's grid 1e-6"
        )
    if layer.clipped_share.mean > 0.01:
        return f"{layer.clipped_share.mean:.1%} of the activations lie beyond the calibrated range"
    activations = layer.activations
    ratio = activations.range.mean / layer.rms
    if activations.average_precision.mean < LOW_PRECISION:
        spread = _spread_of(layer.channels.activation_range)
        return f"activations: average precision {activations.average_precision.mean:.2g}: {spread}"
    return f"activations span {activations.range.mean:.3g}, {ratio:.0f} times their rms"


def _spread_of(ranges: Sequence[float]) -> str:
    middle = median(ranges)
    if middle == 0:
        return "most channels are constant"
    return f"one channel spans {max(ranges) / middle:.0f} times the median channel"
