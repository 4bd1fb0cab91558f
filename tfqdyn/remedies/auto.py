"""Chooses remedies: follows the diagnosis, keeps what helps, stops when nothing does.

No labels are looked at. A quarter of a draw's unlabeled images is held out; a remedy, fitted on the
others, stays if it lowers the distance of the outputs on the held-out ones from those of the
network that the user gave by `LEAST_GAIN`: the output QKL-Div of classifiers, else noise over
signal (`judging`). The course that was chosen is then run on all images of the draw.
Every draw chooses for itself: so no image is scored by a network that it helped to choose, and the
spread over draws includes the choice.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tfqdyn.datasets import Dataset
from tfqdyn.files.steps import NOTHING_KEPT, Steps
from tfqdyn.measurement.runs import assemble
from tfqdyn.network.folding import Folded
from tfqdyn.pipeline import measure_draws
from tfqdyn.remedies.catalogue import REMEDIES
from tfqdyn.remedies.images import CalibrationImages
from tfqdyn.remedies.judging import QKL_DIV, Yardstick, yardstick_of
from tfqdyn.remedies.mixed_precision import output_distance
from tfqdyn.remedies.record import RemedyError
from tfqdyn.results.diagnosis import Finding, diagnose

LEAST_GAIN = 0.1
"""Share of the outputs' distance that a remedy must take away to stay."""
HELD_OUT = 0.25
MOST_HELD_OUT = 32
NEVER_AUTO: tuple[str, ...] = ("mixed_precision", "equalization_relu")
"""What trades something else in (speed, the fp32 function) is for the user to ask for."""


@dataclass(frozen=True)
class Attempt:
    """A remedy that was tried: because of which finding, and what became of it.

    `distance` is that of the outputs on held-out images before and after, by `yardstick`; `kept`
    whether it stayed.
    """

    remedy: str
    because: str
    distance: tuple[float, float]
    kept: bool
    note: str = ""
    yardstick: Yardstick = QKL_DIV

    @property
    def record(self) -> dict[str, Any]:
        """For `choices.json`, the distance by what it is: "qkl_div" or "noise"."""
        return {
            "remedy": self.remedy,
            "because": self.because,
            self.yardstick.short: self.distance,
            "kept": self.kept,
            "note": self.note,
            "yardstick": self.yardstick.name,
        }


@dataclass(frozen=True)
class Choice:
    """What one draw of images came to choose.

    Attributes:
        remedies: the chosen ones, in order.
        attempts: every one that was tried.
        findings: on the untreated network.
        held_out: indices of the images that judged.
    """

    remedies: tuple[str, ...]
    attempts: tuple[Attempt, ...]
    findings: tuple[Finding, ...]
    held_out: tuple[int, ...]

    @property
    def record(self) -> dict[str, Any]:
        """For `choices.json`."""
        return {**asdict(self), "attempts": [attempt.record for attempt in self.attempts]}


@dataclass(frozen=True, eq=False)
class _Tried:
    """An attempt, and where it leads: the network and what is wrong with it; None if not kept."""

    attempt: Attempt
    folded: Folded | None = None
    findings: tuple[Finding, ...] = ()


def choose(
    folded: Folded, images: CalibrationImages, steps: Steps = NOTHING_KEPT, name: str = "choice"
) -> Choice:
    """Which remedies help this network.

    Args:
        folded: the network as it is.
        images: unlabeled; at least 4.
        steps: what is finished; every attempt is one.
        name: of the choice among the steps.

    Raises:
        ValueError: fewer than 4 images.
    """
    if len(images.indices) < 4:
        raise ValueError(
            f"remedies are chosen on at least 4 images, received {len(images.indices)}; raise "
            "calibration_size"
        )
    fitting, held_out = _split(images)
    judge = _Judge(fitting, held_out, folded)
    attempts: list[Attempt] = []
    current, before = folded, judge.distance(folded)
    first = findings = judge.findings(folded)
    tried = set(NEVER_AUTO)
    while not before <= judge.yardstick.good_enough:
        remedy, because = next(_candidates(findings, tried), (None, None))
        if remedy is None or because is None:
            break
        tried.add(remedy)
        trial = partial(_try, remedy, because, current, before, fitting, judge)
        found = steps.once(f"{name}_{remedy}", _Tried, trial)
        attempts.append(found.attempt)
        if found.folded is not None:
            current, before, findings = found.folded, found.attempt.distance[1], found.findings
    kept = tuple(attempt.remedy for attempt in attempts if attempt.kept)
    return Choice(kept, tuple(attempts), first, tuple(held_out.indices.tolist()))


def _try(
    remedy: str,
    because: Finding,
    current: Folded,
    before: float,
    fitting: CalibrationImages,
    judge: "_Judge",
) -> _Tried:
    """Fits a remedy and judges it; `before` is the distance of the network as it is."""
    nothing = Attempt(remedy, because.text, (before, before), False, yardstick=judge.yardstick)
    try:
        remedied = REMEDIES[remedy](current, fitting)
    except RemedyError as error:
        return _Tried(replace(nothing, note=str(error)))
    if not remedied.changes:
        return _Tried(replace(nothing, note="no change"))
    after = judge.distance(remedied.folded)
    if not after <= (1.0 - LEAST_GAIN) * before:
        return _Tried(replace(nothing, distance=(before, after)))
    kept = replace(nothing, distance=(before, after), kept=True)
    findings = () if after <= judge.yardstick.good_enough else judge.findings(remedied.folded)
    return _Tried(kept, remedied.folded, findings)


def _candidates(findings: tuple[Finding, ...], tried: set[str]) -> Iterator[tuple[str, Finding]]:
    """Remedies that were not tried yet, with the gravest finding that asks for each.

    A remedy that is no finding's first choice comes after those that are.
    """
    for rank in range(max((len(f.remedies) for f in findings), default=0)):
        for finding in findings:
            if rank < len(finding.remedies):
                remedy = finding.remedies[rank]
                if remedy in REMEDIES and remedy not in tried:
                    yield remedy, finding


class _Judge:
    """Judges networks on held-out images; labels play no part.

    Args:
        fitting: the images that calibrate.
        held_out: those that judge.
        folded: a network with the reference that all are held against.
    """

    def __init__(
        self, fitting: CalibrationImages, held_out: CalibrationImages, folded: Folded
    ) -> None:
        self._fitting, self._held_out = fitting, held_out
        self._reference = held_out.answers(folded.reference)
        self.yardstick = yardstick_of(folded.graph, held_out.config.task)

    def distance(self, folded: Folded) -> float:
        """How far the true 8-bit network's outputs are from fp32."""
        ranges = self._fitting.ranges(folded)
        return output_distance(folded, ranges, self._held_out, self._reference, folded.float_layers)

    def findings(self, folded: Folded) -> tuple[Finding, ...]:
        """What is wrong with the network."""
        data = Dataset("unlabeled", self._fitting.images)
        config = replace(self._fitting.config, trials=1, own_error=True, metric=None)
        scored = self._held_out.indices
        part = measure_draws([folded], data, [self._fitting.indices], scored, config)
        return diagnose(assemble([part], data, config))


def _split(images: CalibrationImages) -> tuple[CalibrationImages, CalibrationImages]:
    """The images to fit on, and those that judge."""
    count = len(images.indices)
    size = max(1, min(MOST_HELD_OUT, round(HELD_OUT * count)))
    order = np.random.default_rng(images.config.seed).permutation(images.indices)
    fitting, held_out = (
        replace(images, indices=np.sort(chosen), draft=True)
        for chosen in (order[size:], order[:size])
    )
    return fitting, held_out
