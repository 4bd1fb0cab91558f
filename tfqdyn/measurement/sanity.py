"""Whether there is anything to conclude from: fp32 accuracy near chance, and what would mend it.

The likeliest mistake with a trained network is to feed it images that were scaled otherwise than in
training: it then guesses, in 8 bits as in fp32, and quantization seems to cost nothing. A run whose
fp32 accuracy is near chance carries a warning; `survey` says on a few images what each mode of
`datasets.PREPROCESSING` would give.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn import datasets
from tfqdyn.config import AUTO, AnalysisConfig
from tfqdyn.datasets import PREPROCESSING, Dataset, Inputs
from tfqdyn.measurement.assembly import logits_node, num_classes
from tfqdyn.measurement.capture import KerasActivations
from tfqdyn.measurement.sampling import chunking, draw, scored_images
from tfqdyn.network.graph import Graph
from tfqdyn.numerics import classification
from tfqdyn.results import RunResult

NEAR_CHANCE = 0.1
"""Accuracy is near chance where it covers at most this share of the way from chance to 100 %."""
SURVEYED = 64
"""How many images `survey` looks at."""
THREE_CHANNELS = ("caffe", "torch")
"""Modes that need colour images."""


def near_chance(accuracy: float, classes: int) -> bool:
    """Whether an accuracy, a fraction of 1, is hardly better than guessing among the classes."""
    chance = 1.0 / classes
    return not accuracy - chance > NEAR_CHANCE * (1.0 - chance)


def survey(
    graph: Graph, dataset: Dataset, indices: NDArray[np.int64], config: AnalysisConfig
) -> dict[str, float]:
    """fp32 accuracy under each mode of preprocessing that fits the images, a fraction of 1.

    Networks with several inputs have no modes: nothing.

    Args:
        graph: a folded network.
        dataset: with labels.
        indices: of images in `x_test`; `SURVEYED` of them are looked at, a seeded draw.
        config: seed and chunks.
    """
    if isinstance(dataset.x_test, Inputs):
        return {}
    chosen = indices[draw(len(indices), SURVEYED, config.seed, 0)]
    run = KerasActivations(graph, [logits_node(graph)])
    size, _ = chunking(graph, graph.rows, config)
    found = {}
    for mode in PREPROCESSING:
        if mode in THREE_CHANNELS and graph.input_shape[-1] != 3:
            continue
        right = 0
        for images, positions, _ in datasets.chunks(dataset.x_test, chosen, size, mode):
            (logits,) = run(images)
            scores = classification.two_classes(
                logits[: len(positions)].reshape(len(positions), -1)
            )
            labels = np.asarray(dataset.y_test)[positions]
            right += int(classification.among_best(scores, labels).sum())
        found[mode] = right / len(chosen)
    return found


def warned(result: RunResult, graph: Graph, dataset: Dataset, config: AnalysisConfig) -> RunResult:
    """The result; with a warning where its fp32 accuracy is near chance.

    Args:
        result: of the network as it was given.
        graph: that network, folded.
        dataset, config: of the run.
    """
    accuracy, classes = result.summary.fp32_accuracy, num_classes(graph)
    if accuracy is None or not near_chance(accuracy, classes):
        return result
    found = survey(graph, dataset, scored_images(dataset, config), config)
    text = _warning(accuracy, classes, found, config.preprocessing, len(dataset.x_test))
    return replace(result, warnings=(*result.warnings, text))


def _warning(
    accuracy: float, classes: int, found: Mapping[str, float], mode: str, available: int
) -> str:
    problem = (
        f"fp32 accuracy is {accuracy:.2%}, hardly better than guessing among {classes:,} classes "
        f"({1 / classes:.2%}), so nothing here says what quantization costs."
    )
    best = max(found, key=lambda name: found[name], default=mode)
    images, listed = min(SURVEYED, available), _listed(found)
    if best == mode or near_chance(found[best], classes):
        return (
            f"{problem} No preprocessing does better on {images} images ({listed}). Is the network "
            "trained, do the labels number its classes in its order from 0, and are the images "
            "not preprocessed already?"
        )
    return (
        f"{problem} On {images} images --preprocessing={best} gets {found[best]:.0%} right "
        f"({listed}): run again with --preprocessing={best}."
    )


def _listed(found: Mapping[str, float]) -> str:
    return ", ".join(f"{mode} {share:.0%}" for mode, share in found.items())


def settled(
    graph: Graph, dataset: Dataset, config: AnalysisConfig
) -> tuple[AnalysisConfig, tuple[str, ...]]:
    """The configuration with a mode for `preprocessing="auto"`, and a note on how it was chosen.

    Args:
        graph: a folded network.
        dataset: with labels.
        config: returned as it is where it names a mode.

    Raises:
        ValueError: "auto" without labels, or for a network that is no classifier of one input.
    """
    if config.preprocessing != AUTO:
        return config, ()
    if dataset.y_test is None or isinstance(dataset.x_test, Inputs):
        raise ValueError(
            f"preprocessing={AUTO!r} is chosen by a classifier's accuracy on labeled images, which "
            f"are not here; name one of {list(PREPROCESSING)}"
        )
    found = survey(graph, dataset, scored_images(dataset, config), config)
    best = max(found, key=lambda name: found[name])
    images = min(SURVEYED, len(dataset.x_test))
    note = (
        f"preprocessing=auto chose {best}: {found[best]:.0%} of {images} images right "
        f"({_listed(found)})."
    )
    return replace(config, preprocessing=best), (note,)
