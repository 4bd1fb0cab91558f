"""Whether there is anything to conclude from: fp32 accuracy near chance, and what would mend it.

The likeliest mistake with a trained network is to feed it images that were scaled otherwise than in
training: it then guesses, in 8 bits as in fp32, and quantization seems to cost nothing. A run whose
fp32 accuracy is near chance carries a warning; `survey` says on a few images what each mode of
`datasets.PREPROCESSING` would give.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn import datasets
from tfqdyn.config import AUTO, AnalysisConfig
from tfqdyn.datasets import PREPROCESSING, Dataset, Inputs
from tfqdyn.measurement.capture import KerasActivations
from tfqdyn.measurement.outputs import logits_node
from tfqdyn.measurement.sampling import chunking, draw, scored_images
from tfqdyn.measurement.tasks import classifier
from tfqdyn.network.folding import BatchNorm, Folded
from tfqdyn.numerics import classification
from tfqdyn.results import RunResult

NEAR_CHANCE = 0.1
"""Accuracy is near chance where it covers at most this share of the way from chance to 100 %."""
SURVEYED = 64
"""How many images `survey` looks at."""
COLOUR = ("caffe", "torch")
"""Modes that need colour images."""


def near_chance(accuracy: float, classes: int) -> bool:
    """Whether an accuracy, a fraction of 1, is hardly better than guessing among the classes."""
    chance = 1.0 / classes
    return not accuracy - chance > NEAR_CHANCE * (1.0 - chance)


@dataclass(frozen=True)
class Fit:
    """How well a mode of preprocessing fits a network.

    Attributes:
        accuracy: of the fp32 network, a fraction of 1.
        misfit: how far the first batch norm's inputs are from its moving statistics, in nats: the
            mean over channels of the KL divergence between two normal distributions, observed
            and expected; 0 is best. None where no layer took a batch norm in.
    """

    accuracy: float
    misfit: float | None


def survey(
    folded: Folded, dataset: Dataset, indices: NDArray[np.int64], config: AnalysisConfig
) -> dict[str, Fit]:
    """How well each mode of preprocessing fits, of those that the images' channels allow.

    Networks with several inputs, and what are no classifiers, have no modes: nothing.

    Args:
        folded: the network; its `reference` is run.
        dataset: with labels.
        indices: of images in `x_test`; `SURVEYED` of them are looked at, a seeded draw.
        config: seed and chunks.
    """
    graph = folded.reference
    output = classifier(graph, config.task)
    if isinstance(dataset.x_test, Inputs) or output is None:
        return {}
    chosen = indices[draw(len(indices), SURVEYED, config.seed, 0)]
    first = next((node.name for node in graph if node.name in folded.batch_norms), None)
    norm = folded.batch_norms[first] if first is not None else None
    logits = logits_node(graph, output)
    nodes = [logits] if first in (None, logits) else [logits, first]
    run, size = KerasActivations(graph, nodes), chunking(graph, graph.rows, config)[0]
    modes = [m for m in PREPROCESSING if m not in COLOUR or graph.input_shape[-1] == 3]
    found = {}
    for mode in modes:
        right, values = 0, []
        for images, positions, _ in datasets.chunks(dataset.x_test, chosen, size, mode):
            outputs = [output[: len(positions)] for output in run(images)]
            scores = classification.two_classes(outputs[0].reshape(len(positions), -1))
            labels = np.asarray(dataset.y_test)[positions]
            right += int(classification.among_best(scores, labels).sum())
            values.append(outputs[-1].reshape(-1, outputs[-1].shape[-1]).astype(np.float64))
        misfit = None if norm is None else _misfit(np.concatenate(values), norm)
        found[mode] = Fit(right / len(chosen), misfit)
    return found


def _misfit(outputs: NDArray[np.float64], norm: BatchNorm) -> float:
    """`Fit.misfit` from a batch norm's outputs [N, C]: beta and |gamma| are what is expected."""
    live = norm.gamma != 0
    z = (outputs[:, live] - norm.beta[live]) / norm.gamma[live]
    mean, variance = z.mean(axis=0), z.var(axis=0)
    if not live.any():
        return 0.0
    return float(np.mean(variance + mean**2 - 1 - np.log(np.maximum(variance, 1e-12))) / 2)


def best_mode(found: Mapping[str, Fit], images: int) -> str:
    """The mode that fits best: of those that chance alone may have put behind, the least misfit.

    Args:
        found: at least one.
        images: how many the accuracies are of.
    """
    most = max(fit.accuracy for fit in found.values())
    chance = 2 * math.sqrt(most * (1 - most) / images)
    close = [mode for mode, fit in found.items() if fit.accuracy >= most - chance]

    def rank(mode: str) -> tuple[float, float]:
        fit = found[mode]
        return (0.0 if fit.misfit is None else fit.misfit, -fit.accuracy)

    return min(close, key=rank)


def warned(
    result: RunResult, folded: Folded, dataset: Dataset, config: AnalysisConfig
) -> RunResult:
    """The result; with a warning where its fp32 accuracy is near chance.

    Args:
        result: of the network as it was given.
        folded: that network.
        dataset, config: of the run.
    """
    accuracy, output = result.summary.fp32_accuracy, classifier(folded.reference, config.task)
    if accuracy is None or output is None or not near_chance(accuracy, max(2, output.width)):
        return result
    classes = max(2, output.width)
    found = survey(folded, dataset, scored_images(dataset, config), config)
    text = _warning(accuracy, classes, found, config.preprocessing, len(dataset.x_test))
    return replace(result, warnings=(*result.warnings, text))


def _warning(
    accuracy: float, classes: int, found: Mapping[str, Fit], mode: str, available: int
) -> str:
    problem = (
        f"fp32 accuracy is {accuracy:.2%}, hardly better than guessing among {classes:,} classes "
        f"({1 / classes:.2%}), so nothing here says what quantization costs."
    )
    images, listed = min(SURVEYED, available), _listed(found)
    best = best_mode(found, images) if found else mode
    if best == mode or near_chance(found[best].accuracy, classes):
        return (
            f"{problem} No preprocessing does better on {images} images ({listed}). Is the network "
            "trained, do the labels number its classes in its order from 0, and are the images "
            "not preprocessed already?"
        )
    return (
        f"{problem} On {images} images --preprocessing={best} fits best: {listed}"
        f"{_decided(found, best)}. Run again with --preprocessing={best}."
    )


def _decided(found: Mapping[str, Fit], best: str) -> str:
    """What decided, where it was not the accuracy alone."""
    ahead = [mode for mode, fit in found.items() if fit.accuracy > found[best].accuracy]
    if not ahead:
        return ""
    return (
        f"; {' and '.join(ahead)} may be ahead by chance, and {best} fits the first batch norm best"
    )


def _listed(found: Mapping[str, Fit]) -> str:
    return "right with " + ", ".join(f"{mode} {fit.accuracy:.0%}" for mode, fit in found.items())


def settled(
    folded: Folded, dataset: Dataset, config: AnalysisConfig
) -> tuple[AnalysisConfig, tuple[str, ...]]:
    """The configuration with a mode for `preprocessing="auto"`, and a note on how it was chosen.

    Args:
        folded: the network.
        dataset: with labels.
        config: returned as it is where it names a mode.

    Raises:
        ValueError: "auto" without labels, or for a network that is no classifier of one input.
    """
    if config.preprocessing != AUTO:
        return config, ()
    unfit = isinstance(dataset.x_test, Inputs) or classifier(folded.graph, config.task) is None
    if dataset.y_test is None or unfit:
        raise ValueError(
            f"preprocessing={AUTO!r} is chosen by a classifier's accuracy on labeled images, which "
            f"are not here; name one of {list(PREPROCESSING)}"
        )
    found = survey(folded, dataset, scored_images(dataset, config), config)
    images = min(SURVEYED, len(dataset.x_test))
    best = best_mode(found, images)
    note = (
        f"preprocessing=auto chose {best} on {images} images: {_listed(found)}"
        f"{_decided(found, best)}."
    )
    return replace(config, preprocessing=best), (note,)
