"""What analyzed networks came to, as columns of a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.jobs import Analysis, analysis_of
from experiments.engine.networks import Network
from experiments.engine.store import DIGITS, Job, Store
from tfqdyn import results

FIGURES = {
    "uint8_accuracy": "quantized_accuracy",
    "percent_decrease": "percent_accuracy_decrease",
    "qmse": "qmse",
    "qce": "qce",
    "qkl_div": "qkl_div",
}
"""Columns by the summary's names of the spreads over calibration draws."""
PENDING = "not done yet"
"""The status of a network whose training or analysis is not done."""
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
    """A table of trained networks: what each is, its `outcome`, and what was published.

    A network that is trained from several seeds has a row for each.

    Args:
        name: `group/name`.
        source: the work and its number there.
        title: what it shows.
        study: the networks, at scales that train them.
        published: columns of a network's published figures.
        columns: those that are printed.
        traits: columns that say what a network is, besides `network`, its name.
    """

    def analyses(scope: Scope) -> list[tuple[Network, Analysis]]:
        trained = scope.replicates(study)
        return [(network, analysis_of(network, scope.scale, seed)) for network, seed in trained]

    def jobs(scope: Scope) -> Sequence[Job]:
        return [analysis for _, analysis in analyses(scope)]

    def rows(scope: Scope, store: Store) -> Sequence[Row]:
        return [
            {
                "network": network.name,
                **traits(network),
                **outcome_or_pending(analysis, scope, store),
                **published(network),
            }
            for network, analysis in analyses(scope)
        ]

    return Artifact(name, source, title, jobs, rows, columns=columns)


def outcome_or_pending(analysis: Analysis, scope: Scope, store: Store) -> dict[str, Any]:
    """`outcome` and `provenance` of an analysis; `status` and `seed` of one that is not done."""
    if not store.done(analysis):
        return {"status": PENDING, "seed": analysis.training.initial.seed}
    return {**outcome(analysis, store), **provenance(analysis, scope, store)}


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


def provenance(analysis: Analysis, scope: Scope, store: Store) -> dict[str, Any]:
    """Columns that say where an analysis' figures come from.

    `scale`, `seed` and `steps` of the training, `train_minutes` that its steps took, twelve digits
    each of the SHA-256 of the images trained on, of those scored and calibrated on, of the network
    before its training and of the code that analyzed, and the commits that trained and analyzed.
    """
    training, record = analysis.training, store.record(analysis)
    found = record["result"]
    return {
        "scale": scope.scale.name,
        "seed": training.initial.seed,
        "steps": found["steps"],
        "train_minutes": round(found["train_seconds"] / 60, 1),
        "train_images_sha256": training.images.digest()[:DIGITS],
        "images_sha256": analysis.images.digest()[:DIGITS],
        "network_sha256": training.initial.digest()[:DIGITS],
        "code_sha256": record["code"][:DIGITS],
        "train_commit": found["train_commit"],
        "commit": record["commit"],
    }


def figures_of(summary: Mapping[str, Any] | None) -> dict[str, float | None]:
    """Accuracies in percent and output errors of a `Summary` as JSON; all None without one.

    `loss` is what 8 bits take, in points, fp32 and uint8 network on the same images; it is negative
    where they give. `loss_low` and `loss_high` end its 95 % interval over images and draws, see
    `tfqdyn.numerics.paired`.
    """
    row: dict[str, Any] = {"fp32_accuracy": summary and 100 * summary["fp32_accuracy"]}
    lost: Any = summary and summary.get("loss")
    for column, name in FIGURES.items():
        factor = 100 if column in IN_PERCENT else 1
        for suffix, figure in (("", "mean"), ("_std", "std")):
            value: Any = summary and summary[name][figure]
            row[column + suffix] = None if value is None else factor * value
    low, high = lost["interval"] if lost else (None, None)
    points = lost["points"] if lost else {"mean": None, "std": None}
    row |= {"loss": points["mean"], "loss_std": points["std"], "loss_low": low, "loss_high": high}
    return row
