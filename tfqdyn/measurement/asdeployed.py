"""What the file answers on the kernels that applications get: XNNPACK, TFLite's default delegate.

The figures of an analysis are of TFLite's built-in kernels, whose tensors can be read. Applications
run others; so that a difference cannot hide, every trial's file that classifies answers the scored
images once more, as it is deployed. `tfqdyn kernels` says which operators differ.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn.config import AnalysisConfig
from tfqdyn.console import stderr_dropped
from tfqdyn.datasets import Dataset
from tfqdyn.engines import calls, feeding, native
from tfqdyn.engines.answers import classes_of, scores_of
from tfqdyn.engines.catalogue import ENGINES
from tfqdyn.engines.feeding import Feed
from tfqdyn.numerics.classification import among_best
from tfqdyn.results import DeployedKernels, spread
from tfqdyn.tflite.file import TfliteModel, parse

ENGINE = "xnnpack"
_RUNS_APART = 64
"""Runs in one process, of files that somebody else made."""


@dataclass(frozen=True, eq=False)
class Answered:
    """One trial's file on the deployed kernels.

    Attributes:
        model: the file.
        scores: of classes, [N, K], one row for each scored image; None where there are none.
        refused: why the kernels do not run the file; "" where they do.
    """

    model: TfliteModel
    scores: NDArray[np.float64] | None
    refused: str = ""

    def merge(self, other: "Answered") -> "Answered":
        """The answers to the images of both, one after the other."""
        if self.scores is None or other.scores is None:
            return replace(self, scores=None, refused=self.refused or other.refused)
        return replace(self, scores=np.concatenate([self.scores, other.scores]))


def answered(
    files: Sequence[bytes],
    dataset: Dataset,
    scored: NDArray[np.int64],
    config: AnalysisConfig,
    apart: bool,
) -> list[Answered]:
    """The answers of every trial's file.

    Args:
        files: of all trials.
        dataset: its `x_test` holds the images.
        scored: which of them.
        config: preprocessing and threads.
        apart: run them in processes of their own, where they may crash: files of somebody else's.
    """
    # TFLite says on stderr that it made a delegate
    with stderr_dropped(), ThreadPoolExecutor(config.threads) as executor:
        return list(executor.map(lambda f: _answered(f, dataset, scored, config, apart), files))


def _answered(
    content: bytes,
    dataset: Dataset,
    scored: NDArray[np.int64],
    config: AnalysisConfig,
    apart: bool,
) -> Answered:
    model = parse(content)
    if classes_of(model) is None:
        return Answered(model, None)
    try:
        arrays = feeding.arrays_of(model, dataset.x_test)
        feeding.check(model, arrays, dataset.name, config.preprocessing)
        feed = Feed(model, arrays, scored, config.preprocessing)
        outputs = _apart(content, model, feed) if apart else native.outputs(
            ENGINE, content, (feed.runs(k, k + 1)[0] for k in range(len(feed)))
        )  # fmt: skip
        return Answered(model, scores_of(model, list(outputs))[: len(scored)])
    except ValueError as error:  # data that do not fit, or a file that the kernels refuse
        return Answered(model, None, str(error))


def _apart(content: bytes, model: TfliteModel, feed: Feed) -> Iterator[NDArray]:
    for start in range(0, len(feed), _RUNS_APART):
        inputs = feed.runs(start, start + _RUNS_APART)
        run = calls.whole(ENGINE, content, inputs, model.outputs, False)
        yield from (sample[model.outputs[0]] for sample in run.values)


def deployed_kernels(
    answers: Sequence[Answered],
    built_in: Sequence[NDArray],
    labels: Sequence[NDArray | None],
) -> DeployedKernels | None:
    """The summary's record; None where a trial has no answers.

    Args:
        answers: of every trial.
        built_in: for every trial the output codes on the built-in kernels, [N, K].
        labels: for every trial those of its images, [N]; None without labels.
    """
    found = [a.scores for a in answers if a.scores is not None and np.isfinite(a.scores).all()]
    if not found or len(found) < len(answers) or len(built_in) != len(found):
        return None
    changed = [
        float(np.mean(s.argmax(axis=1) != scores_of(a.model, [codes]).argmax(axis=1)))
        for a, s, codes in zip(answers, found, built_in, strict=True)
    ]
    right = [
        float(np.mean(among_best(s, y)))
        for s, y in zip(found, labels, strict=True)
        if y is not None
    ]
    return DeployedKernels(
        kernels=ENGINES[ENGINE].version(),
        accuracy=spread(right) if len(right) == len(found) else None,
        changed_answers=spread(changed),
    )


def notes_of(answers: Sequence[Answered]) -> tuple[str, ...]:
    """Why there are no answers, where the kernels refuse a file."""
    said = dict.fromkeys(a.refused for a in answers if a.refused)
    return tuple(f"No accuracy on the deployed kernels (XNNPACK): {text}" for text in said)
