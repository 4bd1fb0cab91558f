"""Control of Yun & Wong's section 6: MobileNet-V1 for ImageNet before its training.

    python -m experiments.run --artifact=mobilenets/imagenet_untrained --scale=reduced
        --imagenet_data=photographs.npz

From Keras' initialization, batch norms with the statistics of 64 photographs; one calibration draw.

Cost: one analysis of the full network, a minute or two on two cores.
"""

import dataclasses
from collections.abc import Sequence

from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.imagenet import Missing
from experiments.engine.store import Job, Store
from experiments.engine.subjects import SubjectAnalysis, begun, config_of
from experiments.evidence import layerwise, missing_networks

ARCH = "mobilenet_v1"


def analysis(scope: Scope) -> SubjectAnalysis | Missing:
    """The analysis, or why there is none."""
    subject = begun(ARCH, scope)
    if isinstance(subject, Missing):
        return subject
    return SubjectAnalysis(subject, dataclasses.replace(config_of(subject, scope), trials=1))


def jobs(scope: Scope) -> Sequence[Job]:
    """The analysis."""
    job = analysis(scope)
    return [] if isinstance(job, Missing) else [job]


def rows(scope: Scope, store: Store) -> Sequence[Row]:
    """A row for each numbered layer."""
    job = analysis(scope)
    if isinstance(job, Missing):
        return [missing_networks.missing_row(ARCH, job)]
    same = {"network": job.subject.name, "family": job.subject.family, "status": "untrained"}
    return layerwise.layer_rows(store.folder(job), tuple(layerwise.COLUMNS), **same)


ARTIFACT = Artifact(
    "mobilenets/imagenet_untrained",
    "Yun & Wong, section 6, control",
    "Layers of MobileNet-V1 for ImageNet before its training",
    jobs,
    rows,
    columns=("network", "status", "number", "layer", "kind", *layerwise.COLUMNS),
    printed=False,
)
