"""Measured outputs -> `results.Summary`: accuracies, what they lose, distances of the outputs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn.measurement.streaming import Measured, Trial
from tfqdyn.numerics import classification, paired
from tfqdyn.numerics.classification import two_classes
from tfqdyn.results import Loss, Summary, spread

TOP5_FROM = 20
"""From how many classes up top-5 accuracy is given."""


def summarize(parts: Sequence[Measured], labels: NDArray[np.int64]) -> Summary:
    """Accuracies, loss and output metrics over all trials.

    Args:
        parts: what was measured; each one's trials score the same images.
        labels: of all images that could be scored; `Measured.scored` are positions in it.
    """
    answers = [_Answers(part, labels[part.scored]) for part in parts]
    top1, top5 = ([a.accuracies(k) for a in answers] for k in (1, 5))
    outputs = [output for a in answers for output in a.outputs()]
    many = answers[0].reference.shape[1] >= TOP5_FROM
    return Summary(
        fp32_accuracy=_over_images(answers, 1),
        quantized_accuracy=spread([q for _, quantized in top1 for q in quantized]),
        percent_accuracy_decrease=spread(
            [
                classification.percent_decrease(fp32, q)
                for fp32, quantized in top1
                for q in quantized
            ]
        ),
        qmse=spread([o.qmse for o in outputs]),
        qce=spread([o.qce for o in outputs]),
        qkl_div=spread([o.qkl_div for o in outputs]),
        fp32_top5_accuracy=_over_images(answers, 5) if many else None,
        quantized_top5_accuracy=(
            spread([q for _, quantized in top5 for q in quantized]) if many else None
        ),
        changed_fp32_accuracy=_changed_accuracy(answers),
        loss=replace(
            loss_of([a.changes() for a in answers], [part.scored for part in parts]),
            wrong=_wrong(answers, [part.scored for part in parts]),
        ),
    )


def loss_of(changes: Sequence[NDArray[np.int64]], scored: Sequence[NDArray[np.int64]]) -> Loss:
    """What quantization costs over all trials.

    Args:
        changes: for every part [T, N], 1 where a trial loses an image that fp32 gets right, -1
            where it gains one, else 0.
        scored: for every part the positions of its images, [N].
    """
    images = np.unique(np.concatenate(scored))
    table = np.full((sum(map(len, changes)), len(images)), np.nan)
    first = 0
    for part, positions in zip(changes, scored, strict=True):
        rows = np.arange(first, first + len(part))
        table[rows[:, None], np.searchsorted(images, positions)] = part
        first += len(part)
    lost, gained = (tuple(tuple(images[row == sign].tolist()) for row in table) for sign in (1, -1))
    low, high = paired.interval(table)
    return Loss(
        points=spread([100 * float(np.nanmean(row)) for row in table]),
        interval=(100 * low, 100 * high),
        lost=lost,
        gained=gained,
        mcnemar_p=tuple(paired.mcnemar_p(len(a), len(b)) for a, b in zip(lost, gained)),
    )


def _wrong(answers: Sequence["_Answers"], scored: Sequence[NDArray[np.int64]]) -> tuple[int, ...]:
    """Positions of the images that the fp32 network gets wrong."""
    found = [of[~a.right(1)[0]] for a, of in zip(answers, scored, strict=True)]
    return tuple(np.unique(np.concatenate(found)).tolist())


class _Answers:
    """What the fp32 network and every trial's quantized one answer to the same images."""

    def __init__(self, part: Measured, labels: NDArray[np.int64]) -> None:
        self.labels = labels
        self.trials = len(part.trials)
        self.reference = two_classes(part.logits)
        self.is_changed = part.changed_logits is not None
        changed = part.logits if part.changed_logits is None else part.changed_logits
        self._changed = two_classes(changed)
        self._logits = [two_classes(logits) for logits in part.quantized_logits]
        self._scores = [
            two_classes(codes, _decision_code(trial))
            for codes, trial in zip(part.scores, part.trials, strict=True)
        ]

    def right(self, k: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whose label is among the k best: of the fp32 network [N], of every trial's [T, N]."""
        fp32, *quantized = (
            classification.among_best(s, self.labels, k) for s in (self.reference, *self._scores)
        )
        return fp32, np.stack(quantized)

    def changed_right(self) -> NDArray[np.bool_]:
        """Whose label the network as it was changed puts first, in fp32 [N]."""
        return classification.among_best(self._changed, self.labels)

    def accuracies(self, k: int) -> tuple[float, list[float]]:
        """Top-k accuracy of the fp32 network, and of every trial's."""
        fp32, quantized = self.right(k)
        return float(fp32.mean()), quantized.mean(axis=1).tolist()

    def changes(self) -> NDArray[np.int64]:
        """[T, N]: 1 where an image is lost, -1 where it is gained."""
        fp32, quantized = self.right(1)
        return fp32.astype(np.int64) - quantized

    def outputs(self) -> list[classification.OutputMetrics]:
        """Distances of every trial's outputs from the fp32 network's."""
        return [classification.compare_outputs(self.reference, logits) for logits in self._logits]


def _over_images(answers: Sequence[_Answers], k: int) -> float:
    """Top-k accuracy of the fp32 network over the images of all trials."""
    return _share([(a.right(k)[0], a.trials) for a in answers])


def _changed_accuracy(answers: Sequence[_Answers]) -> float | None:
    """Top-1 accuracy in fp32 of the networks as they were changed; None where none was."""
    if not any(a.is_changed for a in answers):
        return None
    return _share([(a.changed_right(), a.trials) for a in answers])


def _share(right: Sequence[tuple[NDArray[np.bool_], int]]) -> float:
    """Share of right answers [N], each counted as often as there are trials of it."""
    counted = sum(int(answers.sum()) * trials for answers, trials in right)
    return counted / sum(len(answers) * trials for answers, trials in right)


def _decision_code(trial: Trial) -> float:
    """The output code at which a single score changes class: 0.5 of a sigmoid, 0 of a logit."""
    params = trial.deployed.output_params
    threshold = 0.5 if trial.deployed.rows[-1].kind == "sigmoid" else 0.0
    if params is None:
        return threshold
    return float(threshold / params.scale + params.zero_point)
