"""A course of remedies: each applied after the other, and measured before and after.

Every trial draws its own calibration images; the remedies of a trial see these images only, without
labels, and they are never scored. Where the data hold training images the draws come from them;
else each trial scores the test images that its draw left out.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from tfqdyn.config import AnalysisConfig
from tfqdyn.console import Progress, silent
from tfqdyn.datasets import Dataset
from tfqdyn.files.steps import NOTHING_KEPT, Steps
from tfqdyn.measurement import sanity
from tfqdyn.measurement.runs import assemble
from tfqdyn.measurement.sampling import (
    Drawn,
    calibration_images,
    calibration_split,
    disjoint_draws,
)
from tfqdyn.network.folding import Folded
from tfqdyn.network.graph import alike
from tfqdyn.pipeline import measure_draws
from tfqdyn.remedies.catalogue import REMEDIES, check_names
from tfqdyn.remedies.images import CalibrationImages
from tfqdyn.remedies.record import Remedied, RemedyError
from tfqdyn.results import RunResult


@dataclass(frozen=True, eq=False)
class Stage:
    """One step of a course.

    Attributes:
        name: "0_none", "1_zero_variance", ...; "1_auto" where trials chose different remedies.
        result: the analysis after it.
        remedied: for every trial what the remedy did, None where its course was over; empty for
            "0_none".
        folded: for every trial the network after it.
    """

    name: str
    result: RunResult
    remedied: tuple[Remedied | None, ...]
    folded: tuple[Folded, ...]


def treat(
    folded: Folded,
    dataset: Dataset,
    courses: Sequence[Sequence[str]],
    config: AnalysisConfig,
    progress: Progress = silent,
    chosen: bool = False,
    steps: Steps = NOTHING_KEPT,
) -> Iterator[Stage]:
    """Applies remedies in the given order, every trial on its own images; yields every stage.

    Args:
        folded: the network as it is.
        dataset: checked against the network.
        courses: for every trial names of `REMEDIES`.
        config: of the analyses.
        progress: wraps long loops.
        chosen: whether the courses were chosen (`auto`): the network is diagnosed already, and a
            remedy that refuses all of a draw's images is left out with a note. Else own errors are
            measured before the first remedy, for `diagnose`, in any case.
        steps: what is finished; every stage is one.

    Raises:
        ValueError: an unknown remedy, before any slow work.
        RemedyError: a remedy does not apply.
    """
    for names in courses:
        if names:  # `auto` may have found none
            check_names(names)
    drawn = disjoint_draws(dataset, config)
    of_draws = [images_of(dataset, d.calibration, config, progress) for d in drawn]
    current: Sequence[Folded] = [folded] * len(drawn)
    first = replace(config, own_error=config.own_error or not chosen)
    untreated = partial(first_stage, folded, dataset, drawn, first, progress)
    yield Stage("0_none", steps.once("0_none", RunResult, untreated), (), tuple(current))

    def stage(name: str, names: Sequence[str | None], before: Sequence[Folded]) -> Stage:
        treated = [
            None if name is None else _applied(name, f, images, chosen)
            for name, f, images in zip(names, before, of_draws, strict=True)
        ]
        after = [f if t is None else t.folded for f, t in zip(before, treated, strict=True)]
        result = analyze_stage(after, dataset, drawn, config, progress)
        result = replace(result, notes=(*result.notes, *_notes(names, treated)))
        return Stage(name, result, tuple(treated), tuple(after))

    for number, names in enumerate(zip_longest(*courses), start=1):
        name = f"{number}_{names[0] if len(set(names)) == 1 else 'auto'}"
        done = steps.once(name, Stage, partial(stage, name, names, current))
        current = done.folded
        yield done


def _applied(name: str, folded: Folded, images: CalibrationImages, lenient: bool) -> Remedied:
    """What a remedy makes of a network; with `lenient` nothing, where it refuses."""
    try:
        return REMEDIES[name](folded, images)
    except RemedyError as error:
        if not lenient:
            raise
        return Remedied(folded, name, (), notes=(str(error),))


def applied(
    names: Sequence[str], folded: Folded, images: CalibrationImages
) -> tuple[Remedied, ...]:
    """What remedies make of a network, each of what the one before it left; nothing is measured.

    Raises:
        RemedyError: one does not apply.
    """
    treated: list[Remedied] = []
    for name in names:
        treated.append(REMEDIES[name](treated[-1].folded if treated else folded, images))
    return tuple(treated)


def _notes(names: Sequence[str | None], treated: Sequence[Remedied | None]) -> tuple[str, ...]:
    """What trials differ in, and the remedies' own remarks."""
    found = [f"{t.remedy}: {note}" for t in treated if t is not None for note in t.notes]
    if len(set(names)) > 1:
        counts = Counter(name or "no more remedy" for name in names)
        parts = [f"{name} in {count} of {len(names)}" for name, count in counts.items()]
        found.insert(0, f"Trials chose different remedies: {', '.join(parts)}.")
    return tuple(dict.fromkeys(found))


def images_of(
    dataset: Dataset, indices: NDArray[np.int64], config: AnalysisConfig, progress: Progress
) -> CalibrationImages:
    """What the remedies of one trial may look at."""
    return CalibrationImages(calibration_images(dataset), indices, config, progress)


def analyze_stage(
    current: Sequence[Folded],
    dataset: Dataset,
    drawn: Sequence[Drawn],
    config: AnalysisConfig,
    progress: Progress,
) -> RunResult:
    """The analysis of every trial's network on the images left for it to score.

    Trials that share the scored images and the fp32 network are measured in one pass.
    """
    together = all(alike(current[0].graph, folded.graph) for folded in current)
    if calibration_split(dataset) == "x_train" and together:
        calibrations = [d.calibration for d in drawn]
        scored = drawn[0].scored
        part = measure_draws(current, dataset, calibrations, scored, config, progress)
        return assemble([part], dataset, config)
    parts = [
        measure_draws([folded], dataset, [d.calibration], d.scored, config, progress)
        for folded, d in zip(current, drawn, strict=True)
    ]
    return assemble(parts, dataset, config)


def first_stage(
    folded: Folded,
    dataset: Dataset,
    drawn: Sequence[Drawn],
    config: AnalysisConfig,
    progress: Progress,
) -> RunResult:
    """The analysis of the network as it is, with a warning where fp32 is near chance already."""
    result = analyze_stage([folded] * len(drawn), dataset, drawn, config, progress)
    return sanity.warned(result, folded, dataset, config)
