"""What the labels are held against the files' outputs as: asked for, or told by the shapes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn.config import TASKS, AnalysisConfig
from tfqdyn.datasets import DataError
from tfqdyn.filepair.outputs import Answers, Output
from tfqdyn.measurement.gauges import Gauge, Own, Regression, Segmentation, function_of
from tfqdyn.measurement.tasks import parts_of
from tfqdyn.results import MetricResult, spread

CLASSIFICATION, SEGMENTATION, REGRESSION, NONE = TASKS


@dataclass(frozen=True, eq=False)
class Plan:
    """What is measured of the outputs.

    Attributes:
        task: one of `TASKS`, with the output's name where there are several.
        outputs: all, those that the task takes for scores as such.
        answers: takes in the answers of a classifier; None for other tasks.
        gauges: metrics of the float file's outputs, and of the quantized one's.
    """

    task: str
    outputs: Sequence[Output]
    answers: Answers | None
    gauges: tuple[list[Gauge], list[Gauge]]


def planned(outputs: Sequence[Output], labels: NDArray | None, config: AnalysisConfig) -> Plan:
    """What is measured; labels that fit no output are left out.

    Raises:
        DataError: labels do not fit the task that is asked for, or it names no output.
    """
    kind, name = parts_of(config.task)
    names = [output.name for output in outputs]
    if name and name not in names:
        raise DataError(f"--task={config.task}: the float file's outputs are {', '.join(names)}")
    places = [place for place, output in enumerate(outputs) if name in ("", output.name)]
    found: tuple[str, int | None] = (NONE, None)
    if labels is not None and kind != NONE:
        tried = [kind] if kind else [CLASSIFICATION, SEGMENTATION, REGRESSION]
        fits = [(k, p) for k in tried for p in places if _fits(k, outputs[p], labels, bool(kind))]
        if kind and not fits:
            raise DataError(
                f"--task={config.task} does not fit labels {labels.shape} of {labels.dtype} and "
                f"outputs {', '.join(f'{o.name} {o.shape}' for o in outputs)}"
            )
        found = fits[0] if fits else found
    task, place = found
    own = list(outputs)
    if place is not None and task in (CLASSIFICATION, SEGMENTATION):
        own[place] = replace(own[place], classes=True)
    answers = None
    if task == CLASSIFICATION and labels is not None and place is not None:
        answers = Answers(own[place], labels, place)
    gauges = tuple(_gauges(task, place, own, labels, config) for _ in range(2))
    said = f"{task}:{names[place]}" if place is not None and names[1:] else task
    return Plan(said, own, answers, (gauges[0], gauges[1]))


def _fits(kind: str, output: Output, labels: NDArray, asked: bool) -> bool:
    """Whether labels can be of an output; classes of what is no score only where asked for."""
    whole = labels.dtype.kind in "ui"
    if kind == CLASSIFICATION:
        flat = int(np.prod(output.shape)) == (output.shape[-1] if output.shape else 1)
        return whole and labels.ndim == 1 and flat and (asked or output.classes)
    if kind == SEGMENTATION:
        return whole and len(output.shape) > 1 and labels.shape[1:] == output.shape[:-1]
    return int(np.prod(labels.shape[1:])) == int(np.prod(output.shape))


def _gauges(
    task: str,
    place: int | None,
    outputs: Sequence[Output],
    labels: NDArray | None,
    config: AnalysisConfig,
) -> list[Gauge]:
    found: list[Gauge] = []
    if place is not None and labels is not None:
        output = outputs[place]
        if task == SEGMENTATION:
            found.append(Segmentation(place, labels, output.class_count, output.threshold))
        if task == REGRESSION:
            found.append(Regression(place, labels))
    if config.metric:
        names = [output.name for output in outputs]
        found.append(Own(config.metric, function_of(config.metric), names, labels))
    return found


def metrics_of(plan: Plan) -> tuple[MetricResult, ...]:
    """Figures of the task and of the user's metric.

    Raises:
        ValueError: the user's metric fails, or gives other names for one file than for the other.
    """
    found = []
    for ours, theirs in zip(*plan.gauges, strict=True):
        first, second = ours.figures(), theirs.figures()
        if first.keys() != second.keys():
            raise ValueError(
                f"the metric gave {sorted(first)} for the float file and {sorted(second)} for the "
                "quantized one; expected the same names"
            )
        found += [MetricResult(name, first[name], spread([second[name]])) for name in first]
    return tuple(found)
