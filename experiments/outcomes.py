"""What analyzed networks came to, as columns of a table."""

from collections.abc import Mapping
from typing import Any

from experiments.jobs import Analysis
from experiments.store import Store
from tfqdyn import results

FIGURES = {
    "uint8_accuracy": "quantized_accuracy",
    "percent_decrease": "percent_accuracy_decrease",
    "qmse": "qmse",
    "qce": "qce",
    "qkl_div": "qkl_div",
}
"""Columns by the summary's names of the spreads over calibration draws."""
IN_PERCENT = ("uint8_accuracy",)


def outcome(analysis: Analysis, store: Store) -> dict[str, Any]:
    """The columns of a finished analysis.

    `status` and `reason` of the training, `epoch`; `fp32_accuracy` and `uint8_accuracy` in percent,
    `percent_decrease` (thesis Eq. 4.11), `qmse`, `qce`, `qkl_div`: means over `draws` calibration
    draws, each with NAME_std; `images` that accuracies are of. A training that diverged has no
    figures: None in their place.
    """
    found = store.result(analysis)
    row: dict[str, Any] = {name: found[name] for name in ("status", "reason", "epoch")}
    summary = found["summary"]
    row |= figures_of(summary)
    row["draws"] = analysis.config.trials
    row["images"] = summary and results.read(store.folder(analysis))["data"]["images"]
    return row


def figures_of(summary: Mapping[str, Any] | None) -> dict[str, float | None]:
    """Accuracies in percent and output errors of a `Summary` as JSON; all None without one."""
    row: dict[str, Any] = {"fp32_accuracy": summary and 100 * summary["fp32_accuracy"]}
    for column, name in FIGURES.items():
        factor = 100 if column in IN_PERCENT else 1
        for suffix, figure in (("", "mean"), ("_std", "std")):
            value: Any = summary and summary[name][figure]
            row[column + suffix] = None if value is None else factor * value
    return row
