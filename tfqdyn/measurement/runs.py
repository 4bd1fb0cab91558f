"""What trials measured -> one `RunResult`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.measurement import assembly, summary
from tfqdyn.measurement.asdeployed import Answered, deployed_kernels, notes_of
from tfqdyn.measurement.measured import Measured
from tfqdyn.measurement.ownsums import OwnSums, with_own
from tfqdyn.measurement.sampling import calibration_split
from tfqdyn.measurement.tasks import CLASSIFICATION
from tfqdyn.network.folding import REMEDIED
from tfqdyn.results import DataRecord, DeployedKernels, RunResult


@dataclass(frozen=True, eq=False)
class Part:
    """Trials that score the same images.

    Attributes:
        measured: fp32 against every trial's quantized network.
        own: for every trial and row the own error; empty unless asked for.
        drawn: for every trial the indices of its calibration images.
        answered: what every trial's file answers on the deployed kernels; empty without files.
    """

    measured: Measured
    own: Sequence[Sequence[OwnSums]]
    drawn: Sequence[NDArray[np.int64]]
    answered: Sequence[Answered] = ()

    @property
    def rows(self) -> tuple[tuple[str, str], ...]:
        """Every paired row's name, and what it is held against."""
        (first, *_) = self.measured.trials
        against = first.folded.held_against
        return tuple((row.name, against[row.name]) for row in first.deployed.rows)


def assemble(parts: Sequence[Part], dataset: Dataset, config: AnalysisConfig) -> RunResult:
    """One result of all trials of some parts; `data` lists scored images and digests by part.

    Where the trials' networks differ in their rows, layers are of those that most of them have.
    """
    measured = [part.measured for part in parts]
    trials = [trial for part in measured for trial in part.trials]
    folded, deployed = trials[0].folded, trials[0].deployed
    ((most, _),) = Counter(part.rows for part in parts).most_common(1)
    alike = [part for part in parts if part.rows == most]
    layers = assembly.layer_results([part.measured for part in alike], config.bins)
    if config.own_error:
        layers = with_own(layers, [own for part in alike for own in part.own])
    split = calibration_split(dataset)
    labels, inputs = dataset.y_test, assembly.input_records(measured)
    digests = [
        assembly.digest_of(m.digests, None if labels is None else labels[m.scored])
        for m in measured
    ]
    overlap = split == "x_test" and any(
        np.isin(drawn, part.measured.scored).any() for part in parts for drawn in part.drawn
    )
    notes = ("Calibration drew from the scored images: no x_train.",) if overlap else ()
    if len(alike) < len(parts):
        shown = ", ".join(str(k) for k, part in enumerate(parts, start=1) if part.rows == most)
        notes += (f"Networks of trials differ in their rows; layers are of trials {shown}.",)
    rescaled = sum(layer.reference == REMEDIED for layer in layers)
    if rescaled:
        notes += (
            f"{rescaled} of {len(layers)} rows are held against the remedied network's fp32 "
            "values, which are on another scale than those of the network that was given.",
        )
    return RunResult(
        config=asdict(replace(config, trials=len(trials)))
        | {"calibrator": config.rule.name, "percentile": config.rule.percentile}
        | {"own_ranges": config.own_ranges},
        seed=config.seed,
        versions=assembly.versions(),
        model=assembly.model_record(folded.graph, trials),
        data=DataRecord(
            name=dataset.name,
            images=round(float(np.mean([len(m.scored) for m in measured]))),
            sha256=tuple(digests),
            input=inputs[0],
            scored=tuple(tuple(m.scored.tolist()) for m in measured),
            calibration_split=split,
            calibration_images=tuple(tuple(d.tolist()) for part in parts for d in part.drawn),
            inputs=inputs,
        ),
        summary=replace(summary.summarize(measured, labels), deployed=_deployed(parts, labels)),
        layers=layers,
        skipped={
            **folded.graph.skipped,
            **{n: f"affine: {why}" for n, why in folded.affine.items()},
            **{n: f"no tensor: {why}" for n, why in deployed.unpaired.items()},
        },
        notes=(
            *dataset.notes,
            *notes,
            *notes_of([a for p in parts for a in p.answered]),
            *dict.fromkeys(n for trial in trials for n in trial.deployed.notes),
        ),
        tflite=tuple(t.deployed.file for t in trials if t.deployed.file is not None),
    )


def _deployed(parts: Sequence[Part], labels: NDArray | None) -> DeployedKernels | None:
    """The answers of all trials on the deployed kernels."""
    labels = labels if parts[0].measured.plan.task == CLASSIFICATION else None
    return deployed_kernels(
        [answers for part in parts for answers in part.answered],
        [codes for part in parts for codes in part.measured.scores],
        [
            None if labels is None else labels[part.measured.scored]
            for part in parts
            for _ in part.answered
        ],
    )
