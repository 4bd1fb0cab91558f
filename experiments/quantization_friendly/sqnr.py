"""Sheng et al., "ReLU6, a troublemaker?": SQNR of every layer's output with ReLU and with ReLU6.

    python -m experiments.run --artifact=quantization_friendly/sqnr --scale=reduced
        --imagenet_data=photographs.npz --mobilenet_v1=mobilenet.keras

Published: over 1,000 images of the ImageNet validation set, a huge drop of SQNR in the first
pointwise layer with ReLU6 (a figure without numbers). Here the bounds are taken off a network that
was trained with ReLU6, without retraining, which changes its fp32 outputs too: each row gives the
fp32 accuracy of its form. Each form is measured as it is and after zero-variance handling, by the
mean over images of each image's dB, against its own fp32 activations. All photographs that a
calibration draw leaves over are measured.

Cost: four analyses, shared in part with `zero_variance`. smoke 5 seconds beyond Table 2's, reduced
(600 photographs) 2 minutes on two cores, paper (50,000) about 2 hours.
"""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.imagenet import Missing
from experiments.engine.store import Job, Store
from experiments.engine.subjects import subject_columns
from experiments.evidence import layerwise, missing_networks
from experiments.quantization_friendly.handling import analyses

ACTIVATIONS: Mapping[str, str | None] = {"ReLU6": None, "ReLU": "relu"}
SHOWN = ("as it is", "zero-variance handling")
ACCURACIES = ("fp32_accuracy", "uint8_accuracy", "uint8_accuracy_std", "images", "draws")


def jobs(scope: Scope) -> Sequence[Job]:
    """An analysis for each activation and handling."""
    return [
        job
        for activation in ACTIVATIONS.values()
        for job in analyses(scope, activation, SHOWN).values()
        if not isinstance(job, Missing)
    ]


def rows(scope: Scope, store: Store) -> Sequence[Row]:
    """A row for each numbered layer of each form; one row for a form that could not be measured."""
    found: list[Row] = []
    for shown, activation in ACTIVATIONS.items():
        for handling, job in analyses(scope, activation, SHOWN).items():
            form = {"activation": shown, "handling": handling}
            if isinstance(job, Missing):
                found.append({**missing_networks.missing_row("mobilenet_v1", job), **form})
                continue
            columns = subject_columns(job, store)
            same = {key: columns[key] for key in ("network", "family", "status")} | form
            if "images" not in columns:
                found.append(same)
                continue
            same |= {key: columns[key] for key in ACCURACIES}
            found += layerwise.layer_rows(store.folder(job), ("sqnr_db",), **same)
    return found


def draw(rows: Sequence[Row]) -> Figure:
    """A panel for each handling, with a line for each activation."""
    labelled = [
        {**row, "network": row["activation"], "label": row["activation"], "family": row["handling"]}
        for row in rows
        if row.get("number") is not None
    ]
    if not labelled:
        return missing_networks.in_words(rows)
    return layerwise.draw(labelled, ("sqnr_db",))


ARTIFACT = Artifact(
    "quantization_friendly/sqnr",
    "Sheng et al., ReLU6, a troublemaker?",
    "SQNR of every layer's output of MobileNet-V1 with ReLU6 and with ReLU",
    jobs,
    rows,
    draw,
)
