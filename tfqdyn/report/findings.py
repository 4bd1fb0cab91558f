"""The diagnosis of a run in words: grouped by fault, the gravest first.

Where own errors were measured, `diagnosis.diagnose` says what is wrong; else `reasons` estimates
which layers add most error of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tfqdyn.results import RunResult
from tfqdyn.results.diagnosis import diagnose
from tfqdyn.results.estimates import worst_layers

TITLES = {
    "dead_variance": "Dead channels stretch the weights' range",
    "spanning_channel": "One channel's weights span the tensor",
    "clipping_loss": "Values lie beyond the calibrated range",
    "weight_rounding": "The weights' grid is too coarse",
    "bias_shift": "Channels are shifted by a constant",
    "activation_outliers": "Few activation channels stretch the range of all",
    "relu6_saturation": "A bounded ReLU cuts off many values",
    "inherited": "Errors inherited from the layers before",
}
"""A fault of `diagnosis.RULES` as a heading."""


@dataclass(frozen=True)
class Remark:
    """What is said about one layer."""

    layer: str
    text: str


@dataclass(frozen=True)
class Fault:
    """One kind of fault: its heading, what to try, and where it was found, the gravest first."""

    title: str
    remedies: tuple[str, ...]
    remarks: tuple[Remark, ...]


def faults(result: RunResult) -> tuple[Fault, ...]:
    """What is wrong with a run's layers; empty where nothing was found."""
    if any(layer.own is not None for layer in result.layers):
        return _diagnosed(result)
    worst = worst_layers(result)
    remarks = [
        Remark(
            reason.layer.name,
            f"{reason.layer.name} ({reason.layer.kind}): {reason.text}; own SQNR, estimated, "
            f"{reason.own_sqnr_db:.1f} dB",
        )
        for reason in worst
    ]
    title = "Layers that add most error of their own (estimated; --own_error measures it)"
    return (Fault(title, (), tuple(remarks)),) if remarks else ()


def _diagnosed(result: RunResult) -> tuple[Fault, ...]:
    by_fault: dict[str, list] = {}
    for finding in diagnose(result):
        by_fault.setdefault(finding.fault, []).append(finding)
    return tuple(
        Fault(
            TITLES[fault],
            tuple(dict.fromkeys(name for finding in found for name in finding.remedies)),
            tuple(Remark(finding.layer, finding.text) for finding in found),
        )
        for fault, found in by_fault.items()
    )


def gravest(found: Sequence[Fault]) -> str:
    """The first remark, or nothing."""
    return found[0].remarks[0].text if found else ""
