"""The networks of a study before their training, analyzed like the trained ones.

Most of what a layer's weights look like is decided by how they began and by folding: a claim about
what training does needs the same figures at epoch 0. Batch norms have the statistics of one batch
there (`jobs.Untrained`). Networks that are trained from several seeds have a control for each.
"""

from collections.abc import Callable, Sequence

from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.jobs import Analysis, analysis_of
from experiments.engine.networks import Network
from experiments.engine.store import Job, Store
from experiments.evidence import layerwise
from experiments.evidence.outcomes import outcome, provenance

BEGUN = ("network", "family", "seed", "fp32_accuracy", "qmse", "qkl_div")
"""What the printed tables show."""


def artifacts(
    group: str, source: str, study: Sequence[Network], traits: Callable[[Network], Row]
) -> tuple[Artifact, Artifact]:
    """`GROUP/untrained`, a row a network and seed, and `GROUP/untrained_layers`, a row a layer.

    Args:
        group: of artifacts.
        source: the work.
        study: the networks.
        traits: columns that say what a network is, besides `network`.
    """
    scores = Artifact(
        f"{group}/untrained",
        f"{source}, control",
        "The networks before training: output errors",
        lambda scope: [job for _, job in analyses(scope, study, 0)],
        lambda scope, store: [
            {
                "network": network.name,
                **traits(network),
                **outcome(job, store),
                **provenance(job, scope, store),
            }
            for network, job in analyses(scope, study, 0)
            if store.done(job)
        ],
        columns=BEGUN,
    )
    return scores, layers(
        f"{group}/untrained_layers", f"{source}, control", "The same networks' layers", study, 0
    )


def layers(
    name: str, source: str, title: str, study: Sequence[Network], epoch: int | None
) -> Artifact:
    """All values of all layers of a study's networks at an epoch (None: the last), as rows."""

    def jobs(scope: Scope) -> Sequence[Job]:
        return [job for _, job in analyses(scope, study, epoch)]

    def rows(scope: Scope, store: Store) -> Sequence[Row]:
        found: list[Row] = []
        for network, job in analyses(scope, study, epoch):
            if not store.done(job):
                continue
            result = store.result(job)
            same = {"network": network.name, "family": network.family, "seed": seed_of(job)}
            same["status"] = result["status"]
            if result["summary"] is None:
                found.append(same)
                continue
            found += layerwise.layer_rows(store.folder(job), tuple(layerwise.COLUMNS), **same)
        return found

    columns = ("network", "number", "layer", "kind", *layerwise.COLUMNS)
    return Artifact(name, source, title, jobs, rows, columns=columns, printed=False)


def analyses(
    scope: Scope, study: Sequence[Network], epoch: int | None
) -> list[tuple[Network, Analysis]]:
    """The analyses of a study's networks at an epoch, with each of their seeds."""
    return [
        (network, analysis_of(network, scope.scale, seed, epoch))
        for network, seed in scope.replicates(study)
    ]


def seed_of(job: Analysis) -> int:
    """The seed of the training."""
    return job.training.initial.seed
