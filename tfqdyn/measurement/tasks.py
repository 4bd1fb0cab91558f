"""What labels are held against outputs as: asked for, or guessed from the shapes.

    classification   labels [N] of integers; an output [K] of one score per class
    segmentation     labels [N, H, W] of integers; an output [H, W, K]
    regression       labels of an output's own shape [N, ...]
    none             no labels, or labels for the user's metric alone

`--task=KIND:OUTPUT` says which of several outputs is meant.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tfqdyn.config import TASKS, AnalysisConfig
from tfqdyn.datasets import DataError, Dataset, check_classes
from tfqdyn.measurement.gauges import IGNORED, Gauge, Own, Regression, Segmentation, function_of
from tfqdyn.measurement.outputs import Output, outputs_of
from tfqdyn.network.graph import Graph

CLASSIFICATION, SEGMENTATION, REGRESSION, NONE = TASKS


@dataclass(frozen=True, eq=False)
class Plan:
    """What is measured of the outputs.

    Attributes:
        outputs: all of the network.
        task: one of `TASKS`.
        main: position of the output whose answers and class figures are the network's; None where
            it gives no answer per image.
        gauges: makes what one network's outputs are measured with.
    """

    outputs: tuple[Output, ...]
    task: str
    main: int | None
    gauges: Callable[[], list[Gauge]]


def parts_of(task: str | None) -> tuple[str, str]:
    """The kind of a task, and the output that it is about; "" where neither is said."""
    kind, _, output = (task or "").partition(":")
    return kind, output


def settled(graph: Graph, dataset: Dataset, config: AnalysisConfig) -> AnalysisConfig:
    """The configuration with its task said, and checked against outputs and labels.

    Raises:
        DataError: labels do not fit the task, or no task fits them; the metric cannot be imported.
    """
    if config.metric:
        function_of(config.metric)
    kind, name = parts_of(config.task)
    if kind == NONE or (dataset.y_test is None and not kind):
        return replace(config, task=NONE)
    outputs = outputs_of(graph)
    if name and name not in [output.name for output in outputs]:
        raise DataError(
            f"--task={config.task}: the model's outputs are {', '.join(o.name for o in outputs)}"
        )
    wanted = [place for place, o in enumerate(outputs) if name in ("", o.name)]
    found = _guess(graph, outputs, dataset, kind, wanted)
    if found is None:
        if config.metric and not kind:
            return replace(config, task=NONE)
        raise DataError(_unfit(outputs, dataset, kind))
    kind, place = found
    if kind == CLASSIFICATION and dataset.y_test is not None:
        check_classes(dataset, max(2, outputs[place].width))
    if kind == SEGMENTATION and dataset.y_test is not None:
        _check_places(dataset.y_test, max(2, outputs[place].width))
    several = len(outputs) > 1
    return replace(config, task=f"{kind}:{outputs[place].name}" if several else kind)


def _guess(
    graph: Graph, outputs: Sequence[Output], dataset: Dataset, kind: str, places: Sequence[int]
) -> tuple[str, int] | None:
    """The task that fits labels and outputs, and the output's position; None where none does.

    What has the shape of an input, and does not end in scores, is taken for an autoencoder's output
    and not for scores of classes, unless these are asked for.
    """
    labels = dataset.y_test
    fits = {
        CLASSIFICATION: _is_classification,
        SEGMENTATION: _is_segmentation,
        REGRESSION: _is_regression,
    }
    inputs = [*graph.input_shapes.values()]
    ends = [graph.by_name[graph.makers[output.node]].traits.scores for output in outputs]
    for tried in [kind] if kind else (CLASSIFICATION, SEGMENTATION, REGRESSION):
        ranked = sorted(places, key=lambda place: not ends[place] and tried != REGRESSION)
        for place in ranked:
            alone = len(outputs) == 1
            echo = outputs[place].shape in inputs and not ends[place] and not kind
            if echo and tried == CLASSIFICATION:
                continue
            if labels is None or fits[tried](outputs[place], labels, alone and not kind):
                shaped = outputs[place].flat if tried == CLASSIFICATION else True
                if shaped:
                    return tried, place
        if kind and tried == CLASSIFICATION and len(places) == 1 and outputs[places[0]].flat:
            return tried, places[0]  # what is wrong with the labels, `check_classes` says
    return None


def _is_classification(output: Output, labels: NDArray, alone: bool) -> bool:
    """Integers [N] of as many classes; of a network's only output, too many classes are an error.

    Of an output of one number they are classes only as 0 and 1, unless it is a sigmoid.
    """
    if labels.ndim != 1 or labels.dtype.kind not in "ui" or not output.flat:
        return False
    if output.width == 1 and not output.classes:
        return bool(labels.min() >= 0 and labels.max() <= 1)
    return alone or bool(labels.min() >= 0 and labels.max() < max(2, output.width))


def _is_segmentation(output: Output, labels: NDArray, alone: bool) -> bool:
    if len(output.shape) < 2 or labels.dtype.kind not in "ui":
        return False
    places = labels.shape[1:-1] if labels.shape[-1:] == (1,) else labels.shape[1:]
    if tuple(places) != tuple(output.shape[:-1]):
        return False
    classes = max(2, output.width)
    counted = labels[labels != IGNORED] if classes <= IGNORED else labels
    return not counted.size or bool(counted.min() >= 0 and counted.max() < classes)


def _is_regression(output: Output, labels: NDArray, alone: bool) -> bool:
    return int(np.prod(labels.shape[1:])) == int(np.prod(output.shape)) and (
        labels.ndim <= 2 or tuple(labels.shape[1:]) in (output.shape, output.shape[:-1])
    )


def _check_places(labels: NDArray, classes: int) -> None:
    counted = labels[labels != IGNORED] if classes <= IGNORED else labels
    if counted.size and (counted.min() < 0 or counted.max() >= classes):
        raise DataError(
            f"labels must lie in 0..{classes - 1} (or be {IGNORED} where a place does not count), "
            f"received {counted.min()}..{counted.max()}"
        )


def _unfit(outputs: Sequence[Output], dataset: Dataset, kind: str) -> str:
    labels = dataset.y_test
    told = "no labels" if labels is None else f"labels {labels.shape} of {labels.dtype}"
    given = ", ".join(f"{output.name} {tuple(output.shape)}" for output in outputs)
    what = f"task {kind!r} does not fit {told}" if kind else f"no task fits {told}"
    return (
        f"{what} and outputs {given}: classification needs integers [N] and an output [K], "
        "segmentation integers [N, H, W] and an output [H, W, K], regression labels of an "
        "output's shape; give --task=none to leave the labels out, or --metric for your own figure"
    )


def plan_of(graph: Graph, dataset: Dataset, config: AnalysisConfig) -> Plan:
    """What is measured of a folded graph's outputs.

    Raises:
        DataError: see `settled`.
    """
    config = settled(graph, dataset, config)
    kind, name = parts_of(config.task)
    place = list(graph.output_names).index(name) if name else 0
    scored = [place] if kind in (CLASSIFICATION, SEGMENTATION) else []
    outputs = outputs_of(graph, scored)
    main = place if kind == CLASSIFICATION else None
    if main is None and len(outputs) == 1 and outputs[0].classes and outputs[0].flat:
        main = 0
    return Plan(outputs, kind, main, partial(_gauges, outputs, kind, place, dataset, config))


def classifier(graph: Graph, task: str | None) -> Output | None:
    """The output that labels of classes are held against; None where there is none."""
    kind, name = parts_of(task)
    if kind == CLASSIFICATION:
        outputs = outputs_of(graph)
        return next((output for output in outputs if name in ("", output.name)), None)
    return None if kind else scores_of(graph, task)


def scores_of(graph: Graph, task: str | None) -> Output | None:
    """A network's only output, where it is one score per class; None of all other networks.

    Where no task is settled, an output [K] is taken for scores.
    """
    kind, _ = parts_of(task)
    outputs = outputs_of(graph)
    if len(outputs) != 1:
        return None
    (only,) = outputs
    if not only.flat or kind == REGRESSION:
        return None
    scores = only.classes or kind == CLASSIFICATION or (not kind and only.width > 1)
    return only if scores else None


def _gauges(
    outputs: Sequence[Output], kind: str, place: int, dataset: Dataset, config: AnalysisConfig
) -> list[Gauge]:
    labels, output = dataset.y_test, outputs[place]
    found: list[Gauge] = []
    if kind == SEGMENTATION and labels is not None:
        found.append(Segmentation(place, labels, max(2, output.width), output.threshold))
    if kind == REGRESSION and labels is not None:
        found.append(Regression(place, labels))
    if config.metric:
        names = [o.name for o in outputs]
        found.append(Own(config.metric, function_of(config.metric), names, labels))
    return found
