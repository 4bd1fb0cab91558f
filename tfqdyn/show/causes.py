"""What is wrong with a run, in words, with the command to paste: for terminal and report alike.

Findings of one fault are one `Cause`, the gravest first. Where own errors were not measured, the
layers that add most error by estimate come last, and a line says what measuring would add.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from tfqdyn.config import DEFAULTS, AnalysisConfig
from tfqdyn.results import RunResult
from tfqdyn.results.diagnosis import Finding, diagnose
from tfqdyn.results.estimates import worst_layers
from tfqdyn.schemes import INT8, OWN_RANGES, UINT8

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
GUESSED = "classification"
"""The task that labels of classes are taken for where no flag says another."""
WORST = "Layers that add most error of their own (estimated)"
WOULD_ADD = (
    "--own_error measures in one more pass what each layer does wrong by itself: it also finds "
    "shifted biases, clipped values and errors that are only inherited."
)
ALL_WELL = (
    "These images show no loss of accuracy; the layers below are where it would be lost first."
)
SHIFTING = ("zero_variance", "equalization", "adaround", "weight_clipping")
"""Remedies of weights; what they leave is a shift of means, which bias correction takes away."""


@dataclass(frozen=True)
class Remark:
    """What is said about one layer."""

    layer: str
    text: str


@dataclass(frozen=True)
class Cause:
    """One kind of fault.

    Attributes:
        title: a heading.
        remedies: what to try, best first; names of `remedies.REMEDIES`.
        remarks: where it was found, the gravest first.
        command: the line to paste; "" where the run does not know its files, or nothing mends it.
    """

    title: str
    remedies: tuple[str, ...]
    remarks: tuple[Remark, ...]
    command: str = ""


def causes(result: RunResult) -> tuple[Cause, ...]:
    """What is wrong with a run's layers; nothing where its `warnings` forbid conclusions."""
    if result.warnings:
        return ()
    by_fault: dict[str, list[Finding]] = {}
    dead: set[str] = set()
    for finding in diagnose(result):
        if finding.fault == "dead_variance":
            dead.add(finding.layer)
        if finding.fault != "spanning_channel" or finding.layer not in dead:  # one cause, said once
            by_fault.setdefault(finding.fault, []).append(finding)
    found = [_cause(result, fault, findings) for fault, findings in by_fault.items()]
    return (*found, *_estimated(result))


def _cause(result: RunResult, fault: str, findings: Sequence[Finding]) -> Cause:
    remedies = tuple(dict.fromkeys(name for f in findings for name in f.remedies))
    channels = sum(len(f.channels) for f in findings)
    title = TITLES[fault]
    if fault == "dead_variance":
        title += f" ({channels} channels in {_counted(len(findings), 'layer')})"
    return Cause(
        title,
        remedies,
        tuple(Remark(f.layer, f.text) for f in findings),
        _mended(result, fault, remedies[0]),
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _mended(result: RunResult, fault: str, remedy: str) -> str:
    if fault == "clipping_loss":
        settings = {**_settings(result), "calibrator": "minmax"}
        settings.pop("percentile", None)
        return _command("analyze", result, settings, "_minmax")
    return remedy_command(result, remedy)


def _estimated(result: RunResult) -> tuple[Cause, ...]:
    """The worst layers by estimate, where nothing was measured."""
    if any(layer.own is not None for layer in result.layers):
        return ()
    remarks = tuple(
        Remark(
            reason.layer.name,
            f"{reason.layer.name} ({reason.layer.kind}): {reason.text}; own SQNR, estimated, "
            f"{reason.own_sqnr_db:.1f} dB",
        )
        for reason in worst_layers(result)
    )
    return (Cause(WORST, (), remarks),) if remarks else ()


def lines(result: RunResult, most: int = 3) -> list[str]:
    """The causes for a terminal, in the report's order, without the layers that its table lists.

    Args:
        result: of a run.
        most: layers that are named for each cause.
    """
    found = [cause for cause in causes(result) if cause.title != WORST]
    text = [] if result.warnings else ["diagnosis" if found else "diagnosis: no layer stands out"]
    text += [ALL_WELL] if found and loses_nothing(result) else []
    for number, cause in enumerate(found, start=1):
        text.append(f"{number}. {cause.title}")
        text += [f"   {remark.text}" for remark in cause.remarks[:most]]
        left = len(cause.remarks) - most
        text += [f"   and {_counted(left, 'more layer')}, see the report"] if left > 0 else []
        text += [f"   Try: {cause.command}" if cause.command else f"   Try {cause.remedies[0]}."]
    if not (result.warnings or measured(result)):
        command = own_error_command(result)
        text += [WOULD_ADD, *([f"   {command}"] if command else [])]
    return text


def loses_nothing(result: RunResult) -> bool:
    """Whether the loss of accuracy may be nothing, as far as these images and draws can tell."""
    loss = result.summary.loss
    return loss is not None and loss.interval[0] <= 0 <= loss.interval[1]


def measured(result: RunResult) -> bool:
    """Whether the run measured own errors, or could not have (other schemes, given files)."""
    own = any(layer.own is not None for layer in result.layers)
    return own or result.config.get("scheme") not in OWN_RANGES


def remedy_command(result: RunResult, remedy: str) -> str:
    """`tfqdyn remedy` for this run's network and images; "" where the run does not know them."""
    names = [remedy, "bias_correction"] if remedy in SHIFTING else [remedy]
    more = {"remedies": ",".join(names)}
    return _command("remedy", result, {**_settings(result), **more}, f"_{remedy}")


def own_error_command(result: RunResult) -> str:
    """`tfqdyn analyze --own_error` for this run; "" where it does not know its files."""
    settings = {**_settings(result), "own_error": True}
    return _command("analyze", result, settings, "_own")


def _settings(result: RunResult) -> dict[str, Any]:
    """What the run was asked for beyond the defaults, as far as it decides figures."""
    config: Mapping[str, Any] = result.config
    scheme = INT8 if config.get("scheme") == INT8 else UINT8
    usual = {**vars(DEFAULTS), "calibrator": replace(DEFAULTS, scheme=scheme).rule.name}
    left_out = ("own_error", "scheme", "threads", "batch_size", "without", "mixed_bits")
    names = [f.name for f in fields(AnalysisConfig) if f.name not in left_out]
    names = [n for n in names if "bits" not in n and n != "per_channel" and n in config]
    found = {n: config[n] for n in names if config[n] != usual[n]}
    if found.get("task") in (None, GUESSED):
        found.pop("task", None)
    if scheme == INT8:
        found["scheme"] = scheme
    if found.get("percentile") == DEFAULTS.rule.percentile and "calibrator" not in found:
        del found["percentile"]  # the default, as the run found it out
    if "percentile" in found and not found["percentile"]:
        del found["percentile"]
    return found


def _command(name: str, result: RunResult, flags: Mapping[str, Any], suffix: str) -> str:
    paths = result.paths
    if not {"model", "data", "out"} <= set(paths):
        return ""
    words = [f"--{name}={paths[name]}" for name in ("model", "data", "import") if name in paths]
    for flag, value in flags.items():
        if value is True:
            words.append(f"--{flag}")
        elif isinstance(value, (list, tuple)):
            words += [f"--{flag}={','.join(map(str, value))}"] if value else []
        else:
            words.append(f"--{flag}={value}")
    out = paths["out"].rstrip("/") + suffix
    return shlex.join(["tfqdyn", name, *words, f"--out={out}"])
