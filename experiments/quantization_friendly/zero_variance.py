"""Sheng et al., "Large Quantization Loss caused by BatchNorm in Depthwise Conv Layer", option 1.

    python -m experiments.run --artifact=quantization_friendly/zero_variance --scale=reduced
        --imagenet_data=photographs.npz --mobilenet_v1=mobilenet.keras

Accuracy of MobileNet-V1 in 8 bits as it is, and with channels of (almost) no variance made the
constants that they are. Published: 1.8 % becomes about 50 %, without retraining, of 70.5 % in fp32.
Empirical bias correction on top is not in Sheng et al.

Accuracies are in percent of the photographs that the calibration draw leaves over. `changes` counts
the channels that zero-variance handling changed. Where the remedy refuses (it would change the fp32
outputs) the row says so.

Cost: three analyses. smoke 5 seconds beyond Table 2's, reduced (600 photographs) 2 minutes on two
cores, paper (50,000) about 2 hours.
"""

from collections.abc import Mapping, Sequence

from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.imagenet import Missing
from experiments.engine.store import Job, Store
from experiments.engine.subjects import STAND_IN, subject_columns
from experiments.evidence.missing_networks import missing_row
from experiments.quantization_friendly.handling import analyses

PUBLISHED: Mapping[str, tuple[float, float]] = {
    "as it is": (70.50, 1.80),
    "zero-variance handling": (70.50, 50.0),
}
"""Accuracies in fp32 and in 8 bits by handling, in percent; the last one is "about 50 %"."""


def jobs(scope: Scope) -> Sequence[Job]:
    """An analysis for each handling."""
    return [job for job in analyses(scope).values() if not isinstance(job, Missing)]


def rows(scope: Scope, store: Store) -> Sequence[Row]:
    """A row for each handling; published accuracies beside those of the real network only."""
    found: list[Row] = []
    for handling, job in analyses(scope).items():
        if isinstance(job, Missing):
            row = missing_row("mobilenet_v1", job)
        else:
            row = subject_columns(job, store)
            row["changes"] = store.result(job).get("changes", {}).get("zero_variance")
        fp32, uint8 = PUBLISHED.get(handling, (None, None))
        if row["network"] == STAND_IN:
            fp32 = uint8 = None
        published = {"published_fp32_accuracy": fp32, "published_uint8_accuracy": uint8}
        found.append({"handling": handling, **row, **published})
    return found


ARTIFACT = Artifact(
    "quantization_friendly/zero_variance",
    "Sheng et al., Quantization Loss Analysis",
    "MobileNet-V1 with zero variance handled properly, without retraining",
    jobs,
    rows,
    columns=(
        "network",
        "handling",
        "status",
        "changes",
        "fp32_accuracy",
        "published_fp32_accuracy",
        "uint8_accuracy",
        "published_uint8_accuracy",
    ),
)
