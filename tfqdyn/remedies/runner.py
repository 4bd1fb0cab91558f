"""The command `remedy`: chooses or takes remedies, measures every step, writes every step.

OUT/0_none/, OUT/1_zero_variance/, ...   what `analyze` writes, and remedy.json
OUT/report.html, OUT/layers.png          all steps over the layers
OUT/cured.keras, OUT/cured.tflite        the network at the end, of the first trial's images
OUT/choices.json                         what `auto` found and tried, for every trial
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tfqdyn import datasets, report, results
from tfqdyn.config import AnalysisConfig
from tfqdyn.console import Progress, silent
from tfqdyn.datasets import Dataset
from tfqdyn.files import wholefiles
from tfqdyn.files.steps import Steps
from tfqdyn.measurement import assembly, sanity
from tfqdyn.measurement.sampling import disjoint_draws
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.graph import Graph
from tfqdyn.network.rebuild import to_keras
from tfqdyn.remedies.auto import Choice, choose
from tfqdyn.remedies.catalogue import AUTO, check_names
from tfqdyn.remedies.course import Stage, images_of, treat
from tfqdyn.results import plain
from tfqdyn.results.diagnosis import Finding, diagnose
from tfqdyn.schemes import OWN_RANGES
from tfqdyn.show import figures

RESULTS = ("report.html", "layers.png", "cured.keras", "cured.tflite", "choices.json")
"""What a whole treatment comes to; the report comes last."""


@dataclass(frozen=True, eq=False)
class Treatment:
    """All stages, and what every trial chose by `auto` (nothing where remedies were given).

    `findings` are those on the untreated network; the first trial's with `auto`.
    """

    stages: tuple[Stage, ...]
    choices: tuple[Choice, ...]
    findings: tuple[Finding, ...]


def remedy(
    model: Any,
    dataset: Dataset,
    remedies: Sequence[str] = (AUTO,),
    config: AnalysisConfig | None = None,
    out: Path | None = None,
    progress: Progress = silent,
) -> Treatment:
    """Treats a trained Keras network's 8-bit form; nothing is retrained.

    Args:
        model: as for `pipeline.analyze`.
        dataset: as for `pipeline.analyze`; calibration images are never scored.
        remedies: names of `REMEDIES` in the order of application, or `AUTO` alone.
        config: of the analyses; own errors are measured before the first remedy in any case.
        out: the folder to write to, if any, by this process alone; every stage is written as it
            is done. A killed treatment goes on from there (`steps`).
        progress: wraps long loops.

    Raises:
        ValueError: an unknown remedy, before any slow work; and whatever `analyze` raises.
        RemedyError: a remedy does not apply to this network.
    """
    config = (config or AnalysisConfig(trials=1)).with_own_ranges
    if config.scheme not in OWN_RANGES:
        raise ValueError(
            f"remedies are for schemes {' and '.join(OWN_RANGES)}, received {config.scheme!r}"
        )
    automatic = list(remedies) == [AUTO]
    if not automatic:
        check_names(remedies)
    original, dataset, config = assembly.checked(model, dataset, config, config.rounding)
    folded = fold_batchnorm(original)
    config, _ = sanity.settled(folded, dataset, config)
    steps = Steps(out, _identity(original, dataset, remedies, config))
    choices: tuple[Choice, ...] = ()
    courses: list[Sequence[str]] = [remedies] * config.trials
    if automatic:
        for trial, drawn in enumerate(disjoint_draws(dataset, config)):
            name = f"choice_{trial}"
            images = images_of(dataset, drawn.calibration, config, progress)
            choice = partial(choose, folded, images, steps, name)
            choices += (steps.once(name, Choice, choice),)
        courses = [choice.remedies for choice in choices]
    stages = []
    for stage in treat(folded, dataset, courses, config, progress, automatic, steps):
        if out is not None and not stages:
            wholefiles.prepare(out, RESULTS)
            if choices:
                _write_json(out / "choices.json", [choice.record for choice in choices])
        stages.append(stage)
        if out is not None:
            _write_stage(stage, stages[0], out)
    if out is not None:
        _write_cured(stages, out)
    steps.forget()
    findings = choices[0].findings if choices else diagnose(stages[0].result)
    return Treatment(tuple(stages), choices, findings)


def _identity(
    graph: Graph, dataset: Dataset, remedies: Sequence[str], config: AnalysisConfig
) -> dict[str, Any]:
    """All that decides what a treatment comes to."""
    return {
        "command": "remedy",
        "network": graph.digest,
        "data": datasets.fingerprint(dataset),
        "remedies": list(remedies),
        "config": asdict(config),
        "versions": assembly.versions(),
    }


def _write_stage(stage: Stage, first: Stage, out: Path) -> None:
    """What `analyze` writes, the plots over those of the untreated network."""
    folder = out / stage.name
    results.write(stage.result, folder)
    shown = {s.name: s.result.layers for s in ((first,) if stage is first else (first, stage))}
    figures.save(figures.overview(shown), folder / "layers.png")
    if stage.remedied:
        _write_json(folder / "remedy.json", [r and r.record for r in stage.remedied])


def _write_cured(stages: Sequence[Stage], out: Path) -> None:
    last = stages[-1]
    overlay = {stage.name: stage.result.layers for stage in stages}
    figures.save(figures.overview(overlay), out / "layers.png")
    wholefiles.write(out / "cured.tflite", last.result.tflite[0])
    with wholefiles.replacing(out / "cured.keras") as temporary:
        to_keras(last.folded[0].deployed).save(temporary)
    report.write_report({stage.name: stage.result for stage in stages}, out / "report.html")


def _write_json(path: Path, value: Any) -> None:
    text = json.dumps(plain(value), indent=1, allow_nan=False)
    wholefiles.write(path, text.encode())
