"""Measured outputs -> `results.Summary`: accuracies, what they lose, distances of the outputs."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from tfqdyn.measurement.measured import Measured
from tfqdyn.measurement.outputs import Output, results_of
from tfqdyn.measurement.tasks import CLASSIFICATION
from tfqdyn.numerics import classification, paired
from tfqdyn.numerics.classification import two_classes
from tfqdyn.numerics.grid import QuantParams
from tfqdyn.results import Loss, MetricResult, Summary, spread

TOP5_FROM = 20
"""From how many classes up top-5 accuracy is given."""


def summarize(parts: Sequence[Measured], labels: NDArray | None) -> Summary:
    """Outputs and metrics over all trials; of a classifier accuracies, loss and output distances.

    Args:
        parts: what was measured; each one's trials score the same images.
        labels: of all images that could be scored; `Measured.scored` are positions in it.
    """
    plan, metrics = parts[0].plan, _metrics(parts)
    found = Summary(
        None, None, None, None, None, None,
        outputs=results_of([sums for part in parts for sums in part.outputs]),
        task=None if labels is None else plan.task, metrics=metrics,
    )  # fmt: skip
    if plan.main is None:
        return found
    logits = [logits for part in parts for logits in _distances(part)]
    found = replace(
        found,
        qmse=spread([o.qmse for o in logits]),
        qce=spread([o.qce for o in logits]),
        qkl_div=spread([o.qkl_div for o in logits]),
    )
    return found if labels is None or plan.task != CLASSIFICATION else _scored(found, parts, labels)


def _distances(part: Measured) -> list[classification.OutputMetrics]:
    """Distances of every trial's main output from the fp32 network's."""
    assert part.logits is not None, "of a main output"
    reference = two_classes(part.logits)
    return [
        classification.compare_outputs(reference, two_classes(logits))
        for logits in part.quantized_logits
    ]


def _metrics(parts: Sequence[Measured]) -> tuple[MetricResult, ...]:
    """Figures of the task and of the user: fp32 over the images of all trials, and every trial's.

    Raises:
        ValueError: the user's metric fails, or gives other names for one network than for another.
    """
    found = []
    for place in range(len(parts[0].gauges[0])):
        alone = len(parts) == 1  # else each image counts as often as there are trials of it
        fp32 = [p.gauges[0][place] for p in parts for _ in (p.trials[:1] if alone else p.trials)]
        of_fp32 = reduce(lambda a, b: a.merge(b), fp32).figures()
        trials = [gauges[place].figures() for part in parts for gauges in part.gauges[1:]]
        for figures in trials:
            if figures.keys() != of_fp32.keys():
                raise ValueError(
                    f"the metric gave {sorted(of_fp32)} for the fp32 network and "
                    f"{sorted(figures)} for a quantized one; expected the same names"
                )
        found += [
            MetricResult(name, value, spread([figures[name] for figures in trials]))
            for name, value in of_fp32.items()
        ]
    return tuple(found)


def _scored(found: Summary, parts: Sequence[Measured], labels: NDArray) -> Summary:
    """The same with accuracies and loss."""
    answers = [_Answers(part, labels[part.scored]) for part in parts]
    top1, top5 = ([a.accuracies(k) for a in answers] for k in (1, 5))
    many = answers[0].reference.shape[1] >= TOP5_FROM
    return replace(
        found,
        fp32_accuracy=_over_images(answers, 1),
        quantized_accuracy=spread([q for _, quantized in top1 for q in quantized]),
        percent_accuracy_decrease=spread(
            [
                classification.percent_decrease(fp32, q)
                for fp32, quantized in top1
                for q in quantized
            ]
        ),
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
        assert part.logits is not None, "of a main output"
        assert part.plan.main is not None
        output = part.plan.outputs[part.plan.main]
        self.reference = two_classes(part.logits)
        self.is_changed = part.changed_logits is not None
        changed = part.logits if part.changed_logits is None else part.changed_logits
        self._changed = two_classes(changed)
        self._scores = [
            two_classes(codes, _decision_code(output, trial.deployed.output_grids[part.plan.main]))
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


def _decision_code(output: Output, params: QuantParams | None) -> float:
    """The output code at which a single score changes class: 0.5 of a sigmoid, 0 of a logit."""
    if params is None:
        return output.threshold
    return float(output.threshold / params.scale + params.zero_point)
