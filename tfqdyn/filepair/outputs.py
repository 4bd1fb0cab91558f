"""Running sums of the two files' outputs, and what they come to: figures of the whole network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfqdyn.datasets import DataError
from tfqdyn.filepair.matching import Matching
from tfqdyn.filepair.side import Port, Side
from tfqdyn.measurement.summary import TOP5_FROM, loss_of
from tfqdyn.numerics import classification, metrics
from tfqdyn.numerics.classification import two_classes
from tfqdyn.numerics.grid import QuantParams, dequantize
from tfqdyn.results import OutputResult, Summary, spread


@dataclass(frozen=True, eq=False)
class Output:
    """One output of both files.

    Attributes:
        name: in the float file.
        shape: of one sample.
        reference, quantized: the tensors.
        params: the quantized tensor's grid; None for floats.
        scores: whether its last axis has a score for each class (or one score for one of two).
        logits: tensors in both files whose softmax the scores are, and the second one's grid; None
            where these are the outputs themselves.
        threshold: of a single score, from which on it stands for the second class.
    """

    name: str
    shape: tuple[int, ...]
    reference: int
    quantized: int
    params: QuantParams | None
    scores: bool
    logits: tuple[int, int, QuantParams | None] | None = None
    threshold: float = 0.0

    @property
    def classes(self) -> int:
        """How many classes the scores tell apart."""
        return max(2, self.shape[-1] if self.shape else 1)


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
                scores=scores and bool(found.reference.is_numeric(source)),
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


class OutputSums:
    """One output's comparison over all samples."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self._error = self._signal = self._largest = 0.0
        self._values = self._answers = self._changed = 0
        self._distances = np.zeros(3)  # sums over answers of QMSE, QCE and QKL-Div

    def add(self, reference: NDArray, quantized: NDArray) -> None:
        """Takes in what the two files give, [N, M] real numbers each, sample by sample."""
        for x, q in zip(reference.astype(np.float64), quantized.astype(np.float64), strict=True):
            apart = abs(x - q)
            self._error += float(np.sum(apart**2))
            self._signal += float(np.sum(x**2))
            self._largest = max(self._largest, float(apart.max(initial=0.0)))
            self._values += x.size
            if self.output.scores:
                best = [
                    two_classes(self._rows(v), self.output.threshold).argmax(axis=1) for v in (x, q)
                ]
                self._changed += int(np.sum(best[0] != best[1]))

    def add_logits(self, reference: NDArray, quantized: NDArray) -> None:
        """Takes in the logits of the scores, [N, M] real numbers each."""
        for sample, other in zip(reference, quantized, strict=True):
            p, q = (two_classes(self._rows(v)) for v in (sample, other))
            told = classification.compare_outputs(p, q)
            self._distances += len(p) * np.array([told.qmse, told.qce, told.qkl_div])
            self._answers += len(p)

    def _rows(self, sample: NDArray) -> NDArray:
        """The scores of one sample's answers, [answers, classes]."""
        return sample.reshape(-1, max(1, self.output.shape[-1] if self.output.shape else 1))

    @property
    def distances(self) -> tuple[float, float, float]:
        """(QMSE, QCE, QKL-Div) of the softmax outputs, see `classification.compare_outputs`."""
        qmse, qce, qkl_div = self._distances / self._answers
        return float(qmse), float(qce), float(qkl_div)

    def result(self) -> OutputResult:
        """The record."""
        scores = self.output.scores
        return OutputResult(
            name=self.output.name,
            shape=self.output.shape,
            qmse=spread([self._error / max(1, self._values)]),
            sqnr_db=spread([float(metrics.decibels(self._signal, self._error))]),
            largest_error=spread([self._largest]),
            qkl_div=spread([self.distances[2]]) if scores else None,
            changed_answers=spread([self._changed / self._answers]) if scores else None,
        )


class Answers:
    """Which samples each file answers rightly; labels are classes of the output at `place`."""

    def __init__(self, output: Output, labels: NDArray, place: int = 0) -> None:
        if labels.min() < 0 or labels.max() >= output.classes:
            raise DataError(
                f"labels must lie in 0..{output.classes - 1} (the output {output.name!r} has "
                f"{output.classes} classes), received {labels.min()}..{labels.max()}"
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
    scores = [s for s in sums if s.output.scores]
    alone = (
        scores[0] if len(sums) == len(scores) == 1 and len(scores[0].output.shape) <= 1 else None
    )
    distances = None if alone is None else [spread([d]) for d in alone.distances]
    accuracies: Mapping[str, object] = {} if answers is None else _accuracies(answers, scored)
    return Summary(
        **{
            "fp32_accuracy": None,
            "quantized_accuracy": None,
            "percent_accuracy_decrease": None,
            **dict(zip(("qmse", "qce", "qkl_div"), distances or [None] * 3, strict=True)),
            **accuracies,
            "outputs": tuple(s.result() for s in sums),
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
    if answers.output.classes >= TOP5_FROM:
        found["fp32_top5_accuracy"] = float(answers.right(0, 5).mean())
        found["quantized_top5_accuracy"] = spread([float(answers.right(1, 5).mean())])
    return found


def real(values: NDArray, params: QuantParams | None) -> NDArray[np.float64]:
    """Real numbers of what a tensor holds."""
    return values.astype(np.float64) if params is None else dequantize(values, params)
