"""Thesis, Tables 4.3 and 4.4: networks quantized in the course of their training."""

from collections.abc import Mapping, Sequence

from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.jobs import Analysis, analysis_of, training_of
from experiments.engine.networks import OVER_TRAINING, Network
from experiments.engine.scales import CHECKPOINTS
from experiments.engine.store import Job, Store
from experiments.evidence.outcomes import outcome, provenance

Published = Mapping[str, Sequence[Sequence[float]]]
"""By network: the figures at each of `CHECKPOINTS`."""


RECORDED = ("epoch", "status", "images", "draws", "loss", "loss_low", "loss_high")
"""Columns of `outcomes.outcome` that all rows have."""


def artifact(
    name: str, source: str, title: str, figures: Sequence[str], published: Published
) -> Artifact:
    """A table of the eight networks, a row for each network and published epoch.

    `published_epoch` is the thesis' epoch of 200, `epoch` the one as far into this scale's training
    (several published ones may fall on the same).

    Args:
        name: `group/name`.
        source: the work and its number there.
        title: what it shows.
        figures: columns of `outcomes.outcome`; NAME_std comes along where there is a spread.
        published: the thesis' figures, in this order.
    """

    def analyses(scope: Scope) -> list[tuple[Network, int, Analysis]]:
        return [
            (network, epoch, analysis_at(network, scope, epoch))
            for network in scope.scale.networks(OVER_TRAINING)
            for epoch in CHECKPOINTS
        ]

    def jobs(scope: Scope) -> Sequence[Job]:
        return [analysis for _, _, analysis in analyses(scope)]

    def rows(scope: Scope, store: Store) -> Sequence[Row]:
        found = []
        for network, epoch, analysis in analyses(scope):
            if not store.done(analysis):
                continue
            obtained = outcome(analysis, store)
            kept = [column for column in obtained if column.removesuffix("_std") in figures]
            columns = [f"published_{figure}" for figure in figures]
            theirs = published[network.name][CHECKPOINTS.index(epoch)]
            found.append(
                {
                    "network": network.name,
                    "family": network.family,
                    "published_epoch": epoch,
                    **{column: obtained[column] for column in RECORDED},
                    **{column: obtained[column] for column in kept},
                    **dict(zip(columns, theirs, strict=True)),
                    **provenance(analysis, scope, store),
                }
            )
        return found

    shown = (name for figure in figures for name in (figure, f"published_{figure}"))
    columns = ("network", "published_epoch", "epoch", "status", *shown)
    return Artifact(name, source, title, jobs, rows, columns=columns)


def analysis_at(network: Network, scope: Scope, published_epoch: int) -> Analysis:
    """The analysis of a network as far into training as a published epoch of 200."""
    recipe = training_of(network, scope.scale, scope.seed).recipe
    epoch = scope.scale.epoch(published_epoch, recipe)
    return analysis_of(network, scope.scale, scope.seed, epoch)
