"""Sheng et al., "An example": the five best classes of one photograph, in fp32 and in 8 bits.

    python -m experiments.run --artifact=quantization_friendly/top5 --scale=reduced
        --imagenet_data=photographs.npz --mobilenet_v1=mobilenet.keras

Published: a white wolf that the network knows in fp32 and takes for a window shade in 8 bits. The
image here is the first photograph of that class, or the first of all where there is none. Three
networks look at it: fp32, 8 bits, and 8 bits after zero-variance handling, calibrated on one draw
that leaves the image out. Probabilities are softmax of the (dequantized) logits. Classes have
their names where Keras can download them, and their numbers in any case.

Cost: one calibration for each of two networks; under a minute at `smoke` and `reduced`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from experiments.engine import imagenet
from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.image_sets import known
from experiments.engine.imagenet import Missing
from experiments.engine.provenance import code_of
from experiments.engine.store import Job, Store
from experiments.engine.subjects import (
    SUBJECT_CODE,
    Subject,
    SubjectJob,
    config_of,
    fitted,
    subject,
)
from experiments.evidence import missing_networks
from experiments.quantization_friendly.handling import HANDLINGS
from tfqdyn.config import AnalysisConfig

WHITE_WOLF = 270
BEST = 5

PUBLISHED: Mapping[str, tuple[tuple[str, float], ...]] = {
    "fp32": (
        ("white wolf", 0.946334),
        ("timber wolf", 0.0277307),
        ("ice bear", 0.0125607),
        ("Eskimo dog", 0.004571),
        ("dingo", 0.00328183),
    ),
    "uint8": (
        ("window shade", 0.328094),
        ("window screen", 0.203663),
        ("paper towel", 0.0602134),
        ("handkerchief", 0.0286787),
        ("doormat", 0.0232018),
    ),
}
"""Classes and probabilities, best first."""

SHOWN = {"as it is": "uint8", "zero-variance handling": "uint8_handled"}
"""Columns of the 8-bit networks by handling."""


@dataclass(frozen=True)
class TopFive(SubjectJob):
    """Shows one image to a network in fp32 and in 8 bits.

    Result: `image` (its index among those), `label`, and `fp32` and `uint8`, each a list of `BEST`
    [class, probability], best first; `uint8` is None, with a `reason`, where a remedy refuses.

    Attributes:
        subject: the network.
        config: of the calibration.
        remedies: see `subjects.SubjectAnalysis`.
        wanted: class of the image, looked for among those that are scored, then among those that
            may calibrate; the first image of all where there is none of it.
    """

    KIND: ClassVar[str] = "top_five"
    cpus: ClassVar[float] = 2

    config: AnalysisConfig
    remedies: tuple[str, ...]
    wanted: int

    @property
    def label(self) -> str:
        """The subject's, and what was done to it."""
        return "-".join([self.subject.label, *self.remedies])

    @property
    def code(self) -> str:
        """The two networks and all that they are made of."""
        return code_of(TopFive, Subject, best, fitted, *SUBJECT_CODE)

    def run(self, folder: Path, store: Store) -> Mapping[str, Any]:
        """Calibrates on the first draw without the image, converts, and runs both networks."""
        from tfqdyn.console import silent
        from tfqdyn.measurement.sampling import calibration_split, draw
        from tfqdyn.remedies import RemedyError, course
        from tfqdyn.remedies.mixed_precision import quantized_answers

        folded, data = self.subject.folded(store), self.subject.dataset()
        config, split = fitted(self.config, data), calibration_split(data)
        own, labels = "x_test", known(data.y_test)
        calibrating = data.y_train
        if calibrating is not None and self.wanted not in labels and self.wanted in calibrating:
            own, labels = "x_train", calibrating
        image = int(np.argmax(labels == self.wanted))
        drawn = draw(len(getattr(data, split)), config.calibration_size, config.seed, 0)
        if split == own:
            drawn = np.setdiff1d(drawn, [image])
        material = course.images_of(data, drawn, config, silent)
        shown = course.CalibrationImages(getattr(data, own), np.array([image]), config)
        found: dict[str, Any] = {"image": image, "label": int(labels[image])}
        found |= {"fp32": best(shown.logits(folded.graph)[0]), "uint8": None, "reason": ""}
        try:
            for remedied in course.applied(self.remedies, folded, material):
                folded = remedied.folded
        except RemedyError as error:
            return {**found, "reason": str(error)}
        (logits,) = quantized_answers(folded, material.ranges(folded), shown, folded.float_layers)
        return {**found, "uint8": best(logits[0])}


def best(logits: NDArray) -> list[tuple[int, float]]:
    """The `BEST` classes of one image's logits [K] with their softmax, best first."""
    from tfqdyn.numerics.classification import softmax

    probabilities = softmax(logits)
    order = np.argsort(-probabilities, kind="stable")[:BEST]
    return [(int(k), float(probabilities[k])) for k in order]


def _jobs(scope: Scope) -> Mapping[str, TopFive] | Missing:
    """By column."""
    network = subject("mobilenet_v1", scope)
    if isinstance(network, Missing):
        return network
    config = config_of(network, scope)
    return {
        column: TopFive(network, config, HANDLINGS[handling], WHITE_WOLF)
        for handling, column in SHOWN.items()
    }


def jobs(scope: Scope) -> Sequence[Job]:
    """One for each handling."""
    found = _jobs(scope)
    return [] if isinstance(found, Missing) else list(found.values())


def rows(scope: Scope, store: Store) -> Sequence[Row]:
    """A row for each rank."""
    found = _jobs(scope)
    if isinstance(found, Missing):
        return [{**missing_networks.missing_row("mobilenet_v1", found), "rank": None}]
    seen = {column: store.result(job) for column, job in found.items()}
    first = seen["uint8"]
    lists = {"fp32": first["fp32"]} | {column: result["uint8"] for column, result in seen.items()}
    real = isinstance(found["uint8"].subject.images, imagenet.Photographs)
    names = imagenet.class_names() if real else None
    reasons = [result["reason"] for result in seen.values() if result["reason"]]
    made: list[Row] = []
    for rank in range(BEST):
        row: dict[str, Any] = {
            "network": found["uint8"].subject.name,
            "status": "; ".join(["analyzed", *reasons]),
            "image": first["image"],
            "label": first["label"],
            "rank": rank + 1,
        }
        for column, best_of in lists.items():
            number, probability = best_of[rank] if best_of else (None, None)
            named = f"{number} {names[number]}" if names and number is not None else number
            row |= {column: named, f"{column}_probability": probability}
            if column in PUBLISHED and real:
                name, share = PUBLISHED[column][rank]
                row |= {f"published_{column}": name, f"published_{column}_probability": share}
        made.append(row)
    return made


ARTIFACT = Artifact(
    "quantization_friendly/top5",
    "Sheng et al., TF8 Quantization corrupts MobileNet's feature representation",
    "The five best classes of one image in fp32 and in 8 bits",
    jobs,
    rows,
    columns=(
        "image",
        "rank",
        "fp32",
        "fp32_probability",
        "published_fp32",
        "uint8",
        "uint8_probability",
        "published_uint8",
        "uint8_handled",
        "uint8_handled_probability",
    ),
)
