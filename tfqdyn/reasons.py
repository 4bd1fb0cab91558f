"""Which layers to look at first, and why, in words.

Layers are ranked by an estimate of the error that they make themselves. Rounding adds noise of
variance step^2 / 12 to every weight and every output code, so at a layer's output

    noise = taps * rms(input)^2 * weight_step^2 / 12 + output_step^2 / 12

and its own SQNR is 20 log10(rms(output) / sqrt(noise)) dB. The measured SQNR, in contrast, holds
whatever the layers before it did as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, log10, prod
from statistics import median

from tfqdyn.affine import NARROWEST
from tfqdyn.results import LayerResult

LOW_PRECISION = 0.25
"""Average precision below which one channel is said to span the tensor."""


@dataclass(frozen=True)
class Reason:
    """A layer, its estimated own SQNR in dB (lower is worse), and the cause in words."""

    layer: LayerResult
    own_sqnr_db: float
    text: str


def worst_layers(layers: Sequence[LayerResult], count: int = 5) -> list[Reason]:
    """The layers that add most error of their own, worst first."""
    by_name = {layer.name: layer for layer in layers}
    reasons = [_reason(layer, by_name) for layer in layers if _is_quantized(layer)]
    return sorted(reasons, key=lambda reason: reason.own_sqnr_db)[:count]


def _is_quantized(layer: LayerResult) -> bool:
    return layer.kind != "softmax" and layer.quantization[0] is not None and layer.rms > 0


def _reason(layer: LayerResult, by_name: Mapping[str, LayerResult]) -> Reason:
    step = sum(q[0] for q in layer.quantization if q) / len(layer.quantization)
    rounding = step**2 / 12
    from_weights = 0.0
    if layer.folded_weights is not None:
        taps = layer.macs / prod(layer.output_shape)
        source = by_name.get(layer.producers[0])
        power = source.rms**2 if source else 1.0
        levels = 2 ** (layer.weight_bits or 8) - 1
        from_weights = taps * power * (layer.folded_weights.range / levels) ** 2 / 12
    noise = rounding + from_weights
    own = 10 * log10(layer.rms**2 / noise) if noise else inf
    return Reason(layer, own, _text(layer, from_weights > rounding))


def _text(layer: LayerResult, weights_dominate: bool) -> str:
    weights = layer.folded_weights
    if layer.flags:
        return "; ".join(layer.flags)
    if weights is not None and weights_dominate:
        ranges = layer.channels.folded_weight_range or ()
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
