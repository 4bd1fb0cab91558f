"""What the channel view says about a layer in words."""

from math import isnan
from statistics import median

from tfqdyn.network.folding import ORIGINAL
from tfqdyn.report.summary import short
from tfqdyn.results import LayerResult, Spread

STEPS = 255
"""Steps between the 256 codes of a grid."""


def facts(layer: LayerResult) -> list[str]:
    """Sentences about the layer's weights and activations, then its remarks."""
    weights, quantized = layer.folded_weights, layer.quantization[0] is not None
    found = [_weights(layer, weights.range)] if quantized and weights and weights.range else []
    return [*found, _activations(layer), *_above_one(layer), *_against(layer), *layer.flags]


def _above_one(layer: LayerResult) -> list[str]:
    """Why activations have an average precision above 1, where they have."""
    precision = layer.activations.average_precision.mean
    if not precision > 1:
        return []
    return [
        f"Average precision {short(precision)} is above 1: this calibrator cuts single channels "
        "less than all of them together, so channels are wider than the clipped tensor and part "
        "of them lies beyond the grid."
    ]


def _against(layer: LayerResult) -> list[str]:
    """A remark where a layer is not held against the network that was given."""
    if layer.reference == ORIGINAL:
        return []
    return [
        "A remedy put these values on another scale: they are held against the remedied network "
        "in fp32, not against the original one."
    ]


def _weights(layer: LayerResult, span: float) -> str:
    ranges = layer.channels.folded_weight_range or ()
    stored = layer.kernel_grid
    if stored is not None and not stored.scale:
        return f"Folded weights span {short(span)} and are stored as {stored.dtype}."
    if stored is not None and len(stored.scale) > 1:
        return (
            f"Folded weights span {short(span)} and are rounded channel by channel, on steps of "
            f"{short(min(stored.scale))} to {short(max(stored.scale))}."
        )
    steps = STEPS if layer.weight_bits is None else 2**layer.weight_bits - 1
    step = span / steps
    middle = median(ranges)
    lost = sum(r < step for r in ranges)
    return (
        f"Folded weights span {short(span)}, so one of the grid's {steps} steps is {short(step)}. "
        f"The median channel spans {short(middle)}, {short(middle / step)} steps; {lost} of "
        f"{len(ranges)} channels span less than one."
    )


def _activations(layer: LayerResult) -> str:
    grid = layer.quantization[0]
    own = "" if layer.own is None else f", own {_spread(layer.own.sqnr)} dB"
    beyond = f"{short(100 * layer.clipped_share.mean)} % of the values saturate at the grid's ends"
    where = (
        "This layer runs in fp32."
        if grid is None
        else f"{beyond}; its step is {short(grid[0])} and its zero point {grid[1]}."
    )
    sqnr = _spread(layer.sqnr_pooled_db)
    return (
        f"Activations span {_spread(layer.activations.range)}; SQNR {sqnr} dB"
        f"{own}{_by_image(layer)}. {where}"
    )


def _by_image(layer: LayerResult) -> str:
    """The mean of the images' SQNR, where images had to be left out of it."""
    left_out = layer.sqnr_infinite
    if left_out is None or not left_out.mean:
        return ""
    return (
        f" (mean of the images' {_spread(layer.sqnr_db)} dB, without "
        f"{short(left_out.mean)} of infinite SQNR)"
    )


def _spread(value: Spread) -> str:
    deviation = value.std is None or isnan(value.std)
    return short(value.mean) + ("" if deviation else f" ± {short(value.std or 0.0, 2)}")
