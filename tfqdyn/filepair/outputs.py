"""The outputs of two files: what each is, right answers, and figures of the whole network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfqdyn.datasets import DataError
from tfqdyn.filepair.matching import Matching
from tfqdyn.filepair.side import Port, Side
from tfqdyn.measurement.outputs import OutputSums, results_of
from tfqdyn.measurement.summary import TOP5_FROM, loss_of
from tfqdyn.numerics import classification
from tfqdyn.numerics.classification import two_classes
from tfqdyn.numerics.grid import QuantParams
from tfqdyn.results import Summary, spread


@dataclass(frozen=True, eq=False)
class Output:
    """One output of both files.

    Attributes:
        name: in the float file.
        shape: of one sample.
        reference, quantized: the tensors.
        params: the quantized tensor's grid; None for floats.
        classes: whether its last axis has a score for each class (or one score for one of two).
        logits: tensors in both files whose softmax the scores are, and the second one's grid; None
            where these are the outputs themselves.
        threshold: of a single score, from which on it stands for the second class.
    """

    name: str
    shape: tuple[int, ...]
    reference: int
    quantized: int
    params: QuantParams | None
    classes: bool
    logits: tuple[int, int, QuantParams | None] | None = None
    threshold: float = 0.0

    @property
    def width(self) -> int:
        """How many scores belong to one answer."""
        return max(1, self.shape[-1]) if self.shape else 1

    @property
    def class_count(self) -> int:
        """How many classes the scores tell apart."""
        return max(2, self.width)


def outputs_of(
    found: Matching, reference: Side, quantized: Side, labels: NDArray | None
) -> list[Output]:
    """The outputs that both files have, by the values that the walk paired, or else by place.

    Args:
        found: what the walk found.
        reference, quantized: the two files, tried.
        labels: of the data; if they are classes, the only output has their scores.
    """
    pairs = _paired(found, reference.outputs, quantized.outputs)
    samples = [reference.sample_shape(port.tensor) for port in reference.inputs]
    outputs = []
    for ours, theirs in pairs:
        shape = reference.sample_shape(ours.tensor)
        source = found.reference.source(ours.tensor)
        maker = found.reference.maker(source)
        kind = "" if maker is None or not found.reference.is_numeric(source) else maker.kind
        scores = kind in ("SOFTMAX", "LOG_SOFTMAX") or (kind == "LOGISTIC" and shape[-1:] == (1,))
        if len(pairs) == 1 and shape not in samples:  # an autoencoder's outputs are no scores
            scores = scores or _are_classes(labels, shape)
        outputs.append(
            Output(
                name=ours.name,
                shape=shape,
                reference=ours.tensor,
                quantized=theirs.tensor,
                params=quantized.tensor(theirs.tensor).params,
                classes=scores and bool(found.reference.is_numeric(source)),
                logits=_logits(found, source, theirs, reference, quantized),
                threshold=0.5 if kind == "LOGISTIC" else 0.0,
            )
        )
    return outputs


def _are_classes(labels: NDArray | None, shape: tuple[int, ...]) -> bool:
    """Whether labels are classes that an output has a score for each."""
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "ui":
        return False
    width = max(2, shape[-1] if shape else 1)
    flat = int(np.prod(shape)) == (shape[-1] if shape else 1)
    return flat and int(labels.min()) >= 0 and int(labels.max()) < width


def _paired(
    found: Matching, ours: Sequence[Port], theirs: Sequence[Port]
) -> list[tuple[Port, Port]]:
    free = list(theirs)
    by_value: dict[int, Port] = {}
    for port in ours:
        there = found.values.get(found.reference.source(port.tensor))
        same = [p for p in free if found.quantized.source(p.tensor) == there]
        if same:
            by_value[port.tensor] = same[0]
            free.remove(same[0])
    return [
        (port, by_value[port.tensor] if port.tensor in by_value else free.pop(0))
        for port in ours
        if port.tensor in by_value or free
    ]


def _logits(
    found: Matching, source: int, theirs: Port, reference: Side, quantized: Side
) -> tuple[int, int, QuantParams | None] | None:
    """What a final softmax or sigmoid reads, in both files."""
    step, other = (
        flow.maker(value)
        for flow, value in (
            (found.reference, source), (found.quantized, found.quantized.source(theirs.tensor))
        )
    )  # fmt: skip
    if step is None or other is None or step.kind != other.kind:
        return None
    if step.kind not in ("SOFTMAX", "LOG_SOFTMAX", "LOGISTIC"):
        return None
    (first,), (second,) = found.reference.arguments(step), found.quantized.arguments(other)
    if reference.shapes is None or quantized.shapes is None:
        return None
    if first not in reference.shapes or second not in quantized.shapes:
        return None
    return first, second, quantized.tensor(second).params


class Answers:
    """Which samples each file answers rightly; labels are classes of the output at `place`."""

    def __init__(self, output: Output, labels: NDArray, place: int = 0) -> None:
        if labels.min() < 0 or labels.max() >= output.class_count:
            raise DataError(
                f"labels must lie in 0..{output.class_count - 1} (the output {output.name!r} has "
                f"{output.class_count} classes), received {labels.min()}..{labels.max()}"
            )
        self.output, self._labels, self.place = output, labels, place
        self._right: dict[tuple[int, int], list[NDArray]] = {}

    def add(self, reference: NDArray, quantized: NDArray, indices: NDArray[np.int64]) -> None:
        """Takes in the outputs [N, K] of the samples at some positions."""
        labels = self._labels[indices]
        for side, scores in enumerate((reference, quantized)):
            shown = two_classes(scores, self.output.threshold)
            for k in (1, 5):
                right = classification.among_best(shown, labels, k)
                self._right.setdefault((side, k), []).append(right)

    def right(self, side: int, k: int) -> NDArray[np.bool_]:
        """Whose label is among a file's k best: [N]."""
        return np.concatenate(self._right[side, k])


def summary_of(
    sums: Sequence[OutputSums], answers: Answers | None, scored: NDArray[np.int64]
) -> Summary:
    """Figures of the whole network; what speaks of classes only where the one output has scores."""
    scores = [s for s in sums if s.output.classes]
    alone = (
        scores[0] if len(sums) == len(scores) == 1 and len(scores[0].output.shape) <= 1 else None
    )
    distances = None if alone is None else [spread([d]) for d in alone.mean_distances]
    accuracies: Mapping[str, object] = {} if answers is None else _accuracies(answers, scored)
    return Summary(
        **{
            "fp32_accuracy": None,
            "quantized_accuracy": None,
            "percent_accuracy_decrease": None,
            **dict(zip(("qmse", "qce", "qkl_div"), distances or [None] * 3, strict=True)),
            **accuracies,
            "outputs": results_of([sums]),
        }  # pyright: ignore[reportArgumentType]
    )


def _accuracies(answers: Answers, scored: NDArray[np.int64]) -> dict[str, object]:
    first, second = (answers.right(side, 1) for side in (0, 1))
    found: dict[str, object] = {
        "fp32_accuracy": float(first.mean()),
        "quantized_accuracy": spread([float(second.mean())]),
        "percent_accuracy_decrease": spread(
            [classification.percent_decrease(float(first.mean()), float(second.mean()))]
        ),
        "loss": loss_of([(first.astype(np.int64) - second)[None]], [scored]),
    }
    if answers.output.class_count >= TOP5_FROM:
        found["fp32_top5_accuracy"] = float(answers.right(0, 5).mean())
        found["quantized_top5_accuracy"] = spread([float(answers.right(1, 5).mean())])
    return found
