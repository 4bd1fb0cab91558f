"""What scoring images takes and comes to, whoever does it: this process, or workers elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfqdyn.config import AnalysisConfig
from tfqdyn.console import Progress
from tfqdyn.datasets import Dataset
from tfqdyn.measurement.asdeployed import Answered, answered
from tfqdyn.measurement.bench import Bench
from tfqdyn.measurement.measured import Measured, Trial
from tfqdyn.measurement.ownerror import OwnTrial
from tfqdyn.measurement.ownsums import OwnSums, merged
from tfqdyn.measurement.tasks import Plan, plan_of
from tfqdyn.network.graph import Graph
from tfqdyn.tflite.file import TfliteModel, parse


@dataclass(frozen=True, eq=False)
class Scoring:
    """What is held against each other, and on which data.

    Attributes:
        graph: the folded graph that calibration ran.
        dataset: its `x_test` holds the images that are scored.
        config: of the analysis.
        trials: every calibration draw.
        cut: the same for own errors; empty unless they are asked for.
        files: what answers on the deployed kernels; empty where nothing classifies.
        apart: whether files run in processes of their own, where they may crash.
    """

    graph: Graph
    dataset: Dataset
    config: AnalysisConfig
    trials: Sequence[Trial]
    cut: Sequence[OwnTrial]
    files: Sequence[bytes]
    apart: bool

    def plan(self) -> Plan:
        """What is measured of the outputs."""
        return plan_of(self.graph, self.dataset, self.config)

    def models(self) -> list[TfliteModel]:
        """Every file, parsed."""
        return [parse(content) for content in self.files]

    def answers(self, scored: NDArray[np.int64]) -> list[Answered]:
        """Every file's answers on the deployed kernels, to the images of some indices."""
        return answered(self.files, self.dataset, scored, self.config, self.apart)


@dataclass(frozen=True, eq=False)
class Scored:
    """What some images came to.

    Attributes:
        measured: fp32 against every trial's quantized network.
        own: for every trial and row the own error; empty unless asked for.
        answered: every file's answers on the deployed kernels.
    """

    measured: Measured
    own: Sequence[Sequence[OwnSums]]
    answered: Sequence[Answered]

    def merge(self, other: "Scored") -> "Scored":
        """What both came to: the images of one, then those of the other."""
        pairs = zip(self.answered, other.answered, strict=True)
        return Scored(
            self.measured.merge(other.measured),
            merged(self.own, other.own),
            [own.merge(others) for own, others in pairs],
        )


Executor = Callable[[Scoring, NDArray[np.int64], Progress], Scored]
"""Scores the images of some indices, block by block (`sampling.blocks`)."""


def score(scoring: Scoring, bench: Bench, scored: NDArray[np.int64]) -> Scored:
    """Scores the images of some indices here; the interpreters of one step go before the next."""
    images = scoring.dataset.x_test
    measured = bench.comparison(scoring.trials, scoring.plan())(images, scored)
    own = bench.own_comparison(scoring.cut)(images, scored)
    return Scored(measured, own, scoring.answers(scored))
