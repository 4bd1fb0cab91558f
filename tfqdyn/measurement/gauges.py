"""Metrics of a task, and the user's own: what outputs come to beside labels.

A gauge takes in the outputs of one network, chunk by chunk; those of a task keep sums, the user's
own all outputs.

References
    Mean intersection over union: Everingham et al., The PASCAL Visual Object Classes Challenge: A
    Retrospective, IJCV 2015, section 4.1.2 (2). R2: coefficient of determination,
    1 - sum (y - f)^2 / sum (y - mean y)^2, uniformly averaged over the last axis as scikit-learn's
    `r2_score`.
"""

import copy
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tfqdyn.files.usercode import function_named
from tfqdyn.numerics.classification import two_classes

IGNORED = 255
"""The label of places that do not count in segmentation, where there are fewer classes."""


_NONE = np.empty(0)
"""Labels of what travels without them."""


class Gauge(Protocol):
    """A metric of one network's outputs."""

    def add(self, outputs: Sequence[NDArray[np.float32]], indices: NDArray[np.int64]) -> None:
        """Takes in all outputs [N, ...] of the images at some positions."""
        ...

    def merge(self, other: Any) -> "Gauge":
        """The metric over both sets of images."""
        ...

    def without_labels(self) -> "Gauge":
        """The same without labels, to travel: what it took in, to be merged into one with them."""
        ...

    def figures(self) -> dict[str, float]:
        """What it comes to, by name."""
        ...


class Segmentation:
    """Mean IoU over the classes that occur, and pixel accuracy; both in [0, 1].

    Args:
        place: of the output [H, W, K] among the outputs.
        labels: class of every place of every image [N, H, W]; `IGNORED` counts nowhere.
        classes: K, or 2 of a single score.
        threshold: of a single score.
    """

    def __init__(self, place: int, labels: NDArray, classes: int, threshold: float) -> None:
        self._place, self._labels, self._threshold = place, labels, threshold
        self.counts = np.zeros((classes, classes), np.int64)  # by label and answer

    def add(self, outputs: Sequence[NDArray[np.float32]], indices: NDArray[np.int64]) -> None:
        """Counts answers by label."""
        scores = outputs[self._place]
        flat = two_classes(scores.reshape(-1, scores.shape[-1]), self._threshold)
        answers, labels = flat.argmax(axis=1), self._labels[indices].reshape(-1).astype(np.int64)
        classes = len(self.counts)
        counted = labels < classes
        pairs = labels[counted] * classes + answers[counted]
        self.counts += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    def merge(self, other: "Segmentation") -> "Segmentation":
        """The counts of both."""
        merged = Segmentation(self._place, self._labels, len(self.counts), self._threshold)
        merged.counts = self.counts + other.counts
        return merged

    def without_labels(self) -> "Segmentation":
        """Only what it took in."""
        light = copy.copy(self)
        light._labels = _NONE
        return light

    def figures(self) -> dict[str, float]:
        """`mean_iou` and `pixel_accuracy`; NaN where no place counts."""
        right = np.diag(self.counts)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - right
        occurs, total = union > 0, self.counts.sum()
        if not total:
            return {"mean_iou": float("nan"), "pixel_accuracy": float("nan")}
        return {
            "mean_iou": float(np.mean(right[occurs] / union[occurs])),
            "pixel_accuracy": float(right.sum() / total),
        }


class Regression:
    """MAE in the labels' unit, and R2 (1 is best; uniformly averaged over the last axis).

    R2 of a component whose labels are all the same is 1 without any error and 0 with some.

    Args:
        place: of the output among the outputs.
        labels: targets [N, ...], of the output's size.
    """

    def __init__(self, place: int, labels: NDArray) -> None:
        self._place, self._labels = place, labels
        self._sums: NDArray[np.float64] | None = None

    def add(self, outputs: Sequence[NDArray[np.float32]], indices: NDArray[np.int64]) -> None:
        """Sums errors and moments of the labels."""
        given = np.asarray(outputs[self._place], np.float64)
        width = given.shape[-1] if given.ndim > 1 else 1
        found, wanted = given.reshape(-1, width), self._labels[indices].reshape(-1, width)
        # moments about the first image's mean, so that R2 loses no digits far from 0
        centred = wanted - self._labels[0].reshape(-1, width).astype(np.float64).mean(axis=0)
        apart = found - wanted
        sums = np.stack([
            np.full(width, len(found)), np.abs(apart).sum(axis=0), (apart**2).sum(axis=0),
            centred.sum(axis=0), (centred**2).sum(axis=0),
        ])  # fmt: skip
        self._sums = sums if self._sums is None else self._sums + sums

    def merge(self, other: "Regression") -> "Regression":
        """The sums of both."""
        merged = Regression(self._place, self._labels)
        held = [sums for sums in (self._sums, other._sums) if sums is not None]
        merged._sums = sum(held[1:], held[0]) if held else None
        return merged

    def without_labels(self) -> "Regression":
        """Only what it took in."""
        light = copy.copy(self)
        light._labels = _NONE
        return light

    def figures(self) -> dict[str, float]:
        """`mae` and `r2`."""
        assert self._sums is not None, "no images were added"
        count, absolute, squared, first, second = self._sums
        spread = second - first**2 / count
        flat = spread <= 1e-12 * second
        known = 1.0 - squared / np.where(flat, 1.0, spread)
        r2 = np.where(flat, (squared == 0).astype(np.float64), known)
        return {"mae": float(absolute.sum() / count.sum()), "r2": float(r2.mean())}


class Outputs(tuple[NDArray[np.float32], ...]):
    """All outputs of a network, [N, ...] each: by position, or by name."""

    names: tuple[str, ...]

    def __new__(cls, arrays: Sequence[NDArray[np.float32]], names: Sequence[str]) -> "Outputs":
        """Arrays with their names."""
        made = super().__new__(cls, arrays)
        made.names = tuple(names)
        return made

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(self.names.index(key) if isinstance(key, str) else key)


class Own:
    """The user's metric.

    Args:
        name: "package.module:function", as the user gave it.
        function: takes `Outputs` and the labels; gives a number or a dict of numbers.
        names: of the outputs.
        labels: [N, ...]; None where there are none.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        names: Sequence[str],
        labels: NDArray | None,
    ) -> None:
        self._name, self._function, self._names, self._labels = name, function, names, labels
        self._held: list[list[NDArray[np.float32]]] = [[] for _ in names]
        self._indices: list[NDArray[np.int64]] = []

    def add(self, outputs: Sequence[NDArray[np.float32]], indices: NDArray[np.int64]) -> None:
        """Keeps the outputs."""
        for held, output in zip(self._held, outputs, strict=True):
            held.append(np.array(output, np.float32))
        self._indices.append(indices)

    def merge(self, other: "Own") -> "Own":
        """The outputs of both, one after the other."""
        merged = Own(self._name, self._function, self._names, self._labels)
        merged._held = [a + b for a, b in zip(self._held, other._held, strict=True)]
        merged._indices = self._indices + other._indices
        return merged

    def without_labels(self) -> "Own":
        """Only what it took in."""
        light = copy.copy(self)
        light._labels = None
        return light

    def figures(self) -> dict[str, float]:
        """What the function gives.

        Raises:
            ValueError: it fails, or gives no numbers.
        """
        outputs = Outputs([np.concatenate(held) for held in self._held], self._names)
        indices = np.concatenate(self._indices)
        labels = None if self._labels is None else self._labels[indices]
        try:
            given = self._function(outputs, labels)
        except Exception as error:  # whatever the user's code raises
            raise ValueError(
                f"--metric={self._name} failed: {type(error).__name__}: {error} (it was given "
                f"outputs {', '.join(f'{n} {a.shape}' for n, a in zip(self._names, outputs))} and "
                f"labels {'None' if labels is None else labels.shape})"
            ) from error
        named = given if isinstance(given, Mapping) else {self._name.partition(":")[2]: given}
        if not named or not all(_is_number(value) for value in named.values()):
            raise ValueError(
                f"--metric={self._name} must give a number or a dict of numbers, it gave "
                f"{type(given).__name__}: {str(given)[:60]!r}"
            )
        return {str(key): float(value) for key, value in named.items()}


def _is_number(value: Any) -> bool:
    single = isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "iuf"
    return single or (isinstance(value, numbers.Real) and not isinstance(value, bool))


def function_of(name: str) -> Callable[..., Any]:
    """The user's function that `--metric` names.

    Raises:
        UserCodeError: see `usercode.function_named`.
    """
    example = "my_metrics:mean_average_precision for a function of my_metrics.py in this folder"
    return function_named(name, "metric", example)
