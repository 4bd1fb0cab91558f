"""What analyzed networks came to, as columns of a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.artifact import Artifact, Row, Scope
from experiments.jobs import Analysis, analysis_of
from experiments.networks import Network
from experiments.store import Job, Store
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


def table(
    name: str,
    source: str,
    title: str,
    study: Sequence[Network],
    published: Callable[[Network], Row],
    columns: tuple[str, ...],
    traits: Callable[[Network], Row] = lambda network: {},
) -> Artifact:
    """A table of trained networks: a row each of what it is, its `outcome`, and what was published.

    Args:
        name: `group/name`.
        source: the work and its number there.
        title: what it shows.
        study: the networks, at scales that train them.
        published: columns of a network's published figures.
        columns: those that are printed.
        traits: columns that say what a network is, besides `network`, its name.
    """

    def analyses(scope: Scope) -> dict[Network, Analysis]:
        kept = scope.scale.networks(study)
        return {network: analysis_of(network, scope.scale, scope.seed) for network in kept}

    def jobs(scope: Scope) -> Sequence[Job]:
        return list(analyses(scope).values())

    def rows(scope: Scope, store: Store) -> Sequence[Row]:
        return [
            {
                "network": network.name,
                **traits(network),
                **outcome(analysis, store),
                **published(network),
            }
            for network, analysis in analyses(scope).items()
        ]

    return Artifact(name, source, title, jobs, rows, columns=columns)


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
