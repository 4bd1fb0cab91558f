"""Chooses remedies: follows the diagnosis, keeps what helps, stops when nothing does.

No labels are looked at. A quarter of the unlabeled images is held out; a remedy, fitted on the
others, stays if it lowers the output QKL-Div on the held-out ones by `LEAST_GAIN`. The course that
was chosen is then run on all the images.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tfqdyn.datasets import Dataset
from tfqdyn.diagnosis import Finding, diagnose
from tfqdyn.folding import Folded
from tfqdyn.pipeline import analyze_draws
from tfqdyn.remedies.catalogue import REMEDIES
from tfqdyn.remedies.material import Material
from tfqdyn.remedies.record import RemedyError
from tfqdyn.results import RunResult

LEAST_GAIN = 0.1
"""Share of the output QKL-Div that a remedy must take away to stay."""
GOOD_ENOUGH = 0.002
"""Output QKL-Div in nats below which nothing is looked for any more."""
HELD_OUT = 0.25
MOST_HELD_OUT = 32
NEVER_AUTO: tuple[str, ...] = ("mixed_precision", "equalization_relu")
"""What trades something else in (speed, the fp32 function) is for the user to ask for."""


@dataclass(frozen=True)
class Attempt:
    """A remedy that was tried: because of which finding, and what became of it.

    `qkl_div` is the output QKL-Div on held-out images before and after; `kept` whether it stayed.
    """

    remedy: str
    because: str
    qkl_div: tuple[float, float]
    kept: bool
    note: str = ""


@dataclass(frozen=True)
class Choice:
    """The chosen remedies in order, every attempt, and what was found on the untreated network."""

    remedies: tuple[str, ...]
    attempts: tuple[Attempt, ...]
    findings: tuple[Finding, ...]


def choose(folded: Folded, material: Material) -> Choice:
    """Which remedies help this network.

    Args:
        folded: the network as it is.
        material: unlabeled images; at least 4.

    Raises:
        ValueError: fewer than 4 images.
    """
    if len(material.indices) < 4:
        raise ValueError(
            f"remedies are chosen on at least 4 images, received {len(material.indices)}; raise "
            "calibration_size"
        )
    judge, fitting = _split(material)
    attempts: list[Attempt] = []
    kept: list[str] = []
    current, result = folded, judge(folded)
    first = diagnose(result)
    findings, tried = first, set(NEVER_AUTO)
    while result.summary.qkl_div.mean > GOOD_ENOUGH:
        remedy, because = next(_candidates(findings, tried), (None, None))
        if remedy is None or because is None:
            break
        tried.add(remedy)
        before = result.summary.qkl_div.mean
        try:
            remedied = REMEDIES[remedy](current, fitting)
        except RemedyError as error:
            attempts.append(Attempt(remedy, because.text, (before, before), False, str(error)))
            continue
        if not remedied.changes:
            attempts.append(Attempt(remedy, because.text, (before, before), False, "no change"))
            continue
        found = judge(remedied.folded)
        after = found.summary.qkl_div.mean
        helps = after <= (1.0 - LEAST_GAIN) * before
        attempts.append(Attempt(remedy, because.text, (before, after), helps))
        if helps:
            kept.append(remedy)
            current, result, findings = remedied.folded, found, diagnose(found)
    return Choice(tuple(kept), tuple(attempts), first)


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
    """Analyzes a network on held-out images; the labels that it hands on are all zero."""

    def __init__(self, fitting: Material, held_out: np.ndarray) -> None:
        self._fitting, self._held_out = fitting, held_out
        labels = np.zeros(len(fitting.images), np.int64)
        self._data = Dataset("unlabeled", fitting.images, labels)
        self._config = replace(fitting.config, trials=1, own_error=True)

    def __call__(self, folded: Folded) -> RunResult:
        drawn = [self._fitting.indices]
        return analyze_draws([folded], self._data, drawn, self._held_out, self._config)


def _split(material: Material) -> tuple[_Judge, Material]:
    """What judges, and the images to fit on."""
    count = len(material.indices)
    size = max(1, min(MOST_HELD_OUT, round(HELD_OUT * count)))
    order = np.random.default_rng(material.config.seed).permutation(material.indices)
    fitting = replace(material, indices=np.sort(order[size:]), draft=True, _ranges={})
    return _Judge(fitting, np.sort(order[:size])), fitting
