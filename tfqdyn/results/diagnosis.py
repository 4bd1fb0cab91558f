"""Results -> findings: what is wrong with which layer, the evidence, and the remedy to try.

Every rule reads the rows of one run and names at most one finding per layer. Where own errors were
not measured, they are estimated (`estimates`) from the rounding of weights and outputs; what takes
more (shifted biases, clipping, inherited errors) is not found then.

Findings are ranked by severity, an estimate in dB of how far the fault pushes a layer below
`HEALTHY_DB`, so that what ruins most comes first; faults of kinds that ruin whole tensors come
before those that a later layer may forgive.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from tfqdyn.network.folding import SHARE_OF_EPSILON
from tfqdyn.results import SOURCES, LayerResult, OwnError, RunResult, Spread, estimates, spread

HEALTHY_DB = 35.0
"""Own SQNR from which up a layer is not looked at: about what uint8 rounding of weights and of
activations leaves where both fill their ranges."""
SPANNING = 8.0
"""How many times the median channel's range the tensor's must be for one channel to span it."""
HEALTHY_ESTIMATED_DB = 27.0
"""The same of an estimate, which may be some dB too low."""
CLIPPED = 0.01
SATURATED = 0.05
OUTLIER_PRECISION = 0.2
SHIFTED = 0.25
INHERITED = 0.9


@dataclass(frozen=True)
class Finding:
    """One fault of one layer.

    Attributes:
        fault: one of `RULES`.
        layer: the row's name.
        severity: larger is worse; comparable within one fault.
        text: the fault in words, with the evidence.
        remedies: what to try, best first; names of `REMEDIES`.
        channels: the channels at fault, if single ones are.
    """

    fault: str
    layer: str
    severity: float
    text: str
    remedies: tuple[str, ...]
    channels: tuple[int, ...] = ()


def diagnose(result: RunResult) -> tuple[Finding, ...]:
    """Findings, the gravest first: by fault in the order of `RULES`, then by severity.

    Args:
        result: of a run; with `own_error` every rule has what it needs.
    """
    layers = [layer for layer in _with_own(result) if _is_quantized(layer)]
    found: list[Finding] = []
    for rule in RULES.values():
        found += sorted(rule(layers), key=lambda finding: -finding.severity)
    return tuple(found)


class EstimatedError(OwnError):
    """An own error that was not measured: of weights and output rounded alone, nothing else."""


def _with_own(result: RunResult) -> list[LayerResult]:
    """The run's layers with own errors, measured or estimated; without those that have neither."""
    estimated = estimates.sources(result)
    found = []
    for layer in result.layers:
        if layer.own is None and layer.name in estimated:
            layer = replace(layer, own=_estimated(*estimated[layer.name]))
        if layer.own is not None:
            found.append(layer)
    return found


def _estimated(weights_db: float, rounding_db: float) -> EstimatedError:
    noise = 10 ** (-weights_db / 10) + 10 ** (-rounding_db / 10)
    own = spread([-10 * math.log10(noise) if noise else math.inf])
    none, unknown = spread([0.0]), spread([math.inf])
    by_source: dict[str, Spread] = {name: unknown for name in SOURCES}
    by_source |= {"weights": spread([weights_db]), "requantization": spread([rounding_db])}
    return EstimatedError(none, own, none, none, by_source, 0.0)


def _is_quantized(layer: LayerResult) -> bool:
    return layer.kind != "softmax" and layer.quantization[0] is not None and layer.rms > 0


def _own(layer: LayerResult) -> float:
    assert layer.own is not None
    return layer.own.sqnr.mean


def _suffers(layer: LayerResult, reached: float | None = None) -> bool:
    """Whether an SQNR in dB (by default the layer's own) is below what a healthy layer has."""
    estimated = isinstance(layer.own, EstimatedError)
    limit = HEALTHY_ESTIMATED_DB if estimated else HEALTHY_DB
    return not (_own(layer) if reached is None else reached) >= limit


def _harmless(layer: LayerResult) -> bool:
    """Whether an estimate, all that there is, says that a layer does well.

    Measured layers that do well as a whole may still have channels that do not.
    """
    return isinstance(layer.own, EstimatedError) and not _suffers(layer)


def _own_words(layer: LayerResult) -> str:
    estimated = " (estimated)" if isinstance(layer.own, EstimatedError) else ""
    return f"own SQNR {_own(layer):.1f} dB{estimated}"


def _named(layer: LayerResult) -> str:
    return f"{layer.name} ({layer.kind})"


def dead_variance(layers: Sequence[LayerResult]) -> Iterator[Finding]:
    """Dead channels whose folded weights stretch the whole tensor's range."""
    for layer in layers:
        variance, epsilon = layer.channels.batch_norm_variance, layer.channels.batch_norm_epsilon
        ranges = layer.channels.folded_weight_range
        if variance is None or epsilon is None or ranges is None or layer.folded_weights is None:
            continue
        dead = [c for c, v in enumerate(variance) if v < SHARE_OF_EPSILON * epsilon]
        dead = [c for c in dead if ranges[c] > 0]
        alive = [r for c, r in enumerate(ranges) if c not in dead]
        if not dead or not alive:
            continue
        stretch = max(ranges[c] for c in dead) / max(max(alive), 1e-30)
        if stretch <= 1.0 or _harmless(layer) or _per_channel(layer):
            continue
        have, their = ("has", "its") if len(dead) == 1 else ("have", "their")
        loss = 20 * np.log10(stretch) + max(0.0, HEALTHY_DB - _own(layer))
        yield Finding(
            "dead_variance", layer.name, float(loss),
            f"{_named(layer)}: {len(dead)} of {len(ranges)} channels {have} a batch-norm variance "
            f"near zero (least {min(variance):.1g}, epsilon {epsilon:.1g}); folding blows {their} "
            f"weights up to {stretch:.1f} times the range of all others, {_own_words(layer)}",
            ("zero_variance",), tuple(dead),
        )  # fmt: skip


def spanning_channel(layers: Sequence[LayerResult]) -> Iterator[Finding]:
    """One channel's weights span the tensor, the others are left with a few codes."""
    for layer in layers:
        ranges = layer.channels.folded_weight_range
        if ranges is None or layer.folded_weights is None or not _weights_dominate(layer):
            continue
        if _harmless(layer) or _per_channel(layer):
            continue
        living = [r for r in ranges if r > 0]
        middle = median(living) if living else 0.0
        if not middle or max(living) < SPANNING * middle:
            continue
        widest = int(np.argmax(ranges))
        silent = layer.channels.activation_range[widest] == 0
        dead = silent and layer.channels.batch_norm_variance is None
        yield Finding(
            "spanning_channel", layer.name, HEALTHY_DB - _own(layer),
            f"{_named(layer)}: channel {widest} spans {max(living) / middle:.0f} times the median "
            f"channel, average precision {layer.folded_weights.average_precision:.2g}, "
            f"{_own_words(layer)}",
            (*(["zero_variance"] if dead else []), "equalization", "adaround", "weight_clipping"),
            (widest,),
        )  # fmt: skip


def weight_rounding(layers: Sequence[LayerResult]) -> Iterator[Finding]:
    """The rounding of weights makes most of a layer's own error, though no channel stands out."""
    spanned = {finding.layer for finding in spanning_channel(layers)}
    for layer in layers:
        if layer.name not in spanned and _weights_dominate(layer) and _suffers(layer):
            yield Finding(
                "weight_rounding", layer.name, HEALTHY_DB - _own(layer),
                f"{_named(layer)}: weights on their grid alone leave "
                f"{_source(layer, 'weights'):.1f} dB, {_own_words(layer)}",
                ("adaround", "weight_clipping", "equalization"),
            )  # fmt: skip


def bias_shift(layers: Sequence[LayerResult]) -> Iterator[Finding]:
    """A constant shift of channels makes much of the own error."""
    for layer in layers:
        share = layer.own.bias_share.mean if layer.own else 0.0
        if share >= SHIFTED and _suffers(layer):
            yield Finding(
                "bias_shift", layer.name, share * 10 ** (-_own(layer) / 10),
                f"{_named(layer)}: {share:.0%} of the own error is a constant shift of channels, "
                f"{_own_words(layer)}",
                ("bias_correction", "bias_correction_analytic"),
            )  # fmt: skip


def clipping_loss(layers: Sequence[LayerResult]) -> Iterator[Finding]:
    """Values beyond the calibrated range."""
    for layer in layers:
        clipping = _source(layer, "clipping")
        others = min(_source(layer, "requantization"), _source(layer, "weights"))
        if _suffers(layer, clipping) and (layer.clipped_share.mean >= CLIPPED or clipping < others):
            yield Finding(
                "clipping_loss", layer.name, HEALTHY_DB - clipping,
                f"{_named(layer)}: {layer.clipped_share.mean:.2%} of the activations lie beyond "
                f"the calibrated range, which alone leaves {clipping:.1f} dB; calibrate with "
                "more images, or with --calibrator=mse or minmax",
                ("bias_correction",),
            )  # fmt: skip


def activation_outliers(layers: Sequence[LayerResult]) -> Iterator[Finding]:
    """A few activation channels stretch the range of all: here, or where the layer reads."""
    by_name = {layer.name: layer for layer in layers}
    for layer in layers:
        rounding, reading = _source(layer, "requantization"), _source(layer, "input")
        weights = _source(layer, "weights")
        source = by_name.get(layer.producers[0], layer)
        if _stretched(layer) and _suffers(layer, rounding):
            worst, at = rounding, layer
        elif _stretched(source) and _suffers(layer, reading) and reading < weights:
            worst, at = reading, source
        else:
            continue
        ranges = at.channels.activation_range
        widest = int(np.argmax(ranges))
        yield Finding(
            "activation_outliers", layer.name, HEALTHY_DB - worst,
            f"{_named(layer)}: the channels of {'its output' if at is layer else at.name} are "
            f"unlike (average precision {at.activations.average_precision.mean:.2g}, channel "
            f"{widest} spans {ranges[widest]:.3g}); rounding them alone leaves {worst:.1f} dB",
            ("equalization", "mixed_precision"), (widest,),
        )  # fmt: skip


def _stretched(layer: LayerResult) -> bool:
    return layer.activations.average_precision.mean < OUTLIER_PRECISION


def relu6_saturation(layers: Sequence[LayerResult]) -> Iterator[Finding]:
    """A bounded ReLU cuts off many values, in fp32 already."""
    for layer in layers:
        share = layer.own.saturated_share if layer.own else 0.0
        if share >= SATURATED:
            yield Finding(
                "relu6_saturation", layer.name, 100 * share,
                f"{_named(layer)}: the ReLU's bound cuts off {share:.1%} of the values in fp32; "
                "errors before it vanish there, but its range is fixed",
                ("equalization_relu",),
            )  # fmt: skip


def inherited(layers: Sequence[LayerResult]) -> Iterator[Finding]:
    """A layer's error is almost all from the layers before it: it is not at fault."""
    for layer in layers:
        if layer.own is None or layer.qmse.mean == 0:
            continue
        share = layer.own.inherited_qmse.mean / layer.qmse.mean
        reached = layer.sqnr_pooled_db.mean
        if share >= INHERITED and not _suffers(layer) and _suffers(layer, reached):
            yield Finding(
                "inherited", layer.name, HEALTHY_DB - reached,
                f"{_named(layer)}: {share:.1%} of its error is inherited (SQNR "
                f"{reached:.1f} dB, own {_own(layer):.1f} dB); look at the layers "
                "before it",
                ("bias_correction",),
            )  # fmt: skip


def _per_channel(layer: LayerResult) -> bool:
    """Whether every channel's weights have a grid of their own: none stretches another's."""
    return layer.kernel_grid is not None and len(layer.kernel_grid.scale) > 1


def _source(layer: LayerResult, name: str) -> float:
    return layer.own.source_sqnr_db[name].mean if layer.own else float("inf")


def _weights_dominate(layer: LayerResult) -> bool:
    """Whether rounding the weights makes more error than rounding inputs and output."""
    others = min(_source(layer, "input"), _source(layer, "requantization"))
    return _source(layer, "weights") < others


RULES: dict[str, Callable[[Sequence[LayerResult]], Iterator[Finding]]] = {
    "dead_variance": dead_variance,
    "spanning_channel": spanning_channel,
    "clipping_loss": clipping_loss,
    "weight_rounding": weight_rounding,
    "bias_shift": bias_shift,
    "activation_outliers": activation_outliers,
    "relu6_saturation": relu6_saturation,
    "inherited": inherited,
}
"""Every fault that is looked for, in the order in which findings are ranked."""
