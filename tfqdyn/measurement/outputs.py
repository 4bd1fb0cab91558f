"""The outputs of a network: what each is, and running sums of it against the same output in fp32.

An output is scores of classes if it ends in softmax or log-softmax, if it is the one that the task
is about (`tasks`), or a single sigmoid. Their QKL-Div is that of the logits where the network holds
them, as everywhere (`classification`); a single score stands for one of two classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.graph import Graph, Node
from tfqdyn.numerics import classification, metrics
from tfqdyn.numerics.classification import two_classes
from tfqdyn.numerics.grid import QuantParams, dequantize
from tfqdyn.results import OutputResult, spread

MOVING = frozenset(("permute", "pad", "crop"))
"""Layout ops behind which values stand elsewhere than before."""


class Measurable(Protocol):
    """What sums need to know of an output, of a network or of a file."""

    @property
    def name(self) -> str:
        """What the model or the file calls it."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Without the batch axis."""
        ...

    @property
    def classes(self) -> bool:
        """Whether it is scores of classes."""
        ...

    @property
    def threshold(self) -> float:
        """Of a single score, from which on it stands for the second class."""
        ...

    @property
    def width(self) -> int:
        """How many scores belong to one answer."""
        ...


@dataclass(frozen=True)
class Output:
    """One output.

    Attributes:
        name: what the model calls it.
        node: whose value it is.
        shape: without the batch axis.
        classes: whether its last axis has one score per class.
        logits: the row whose output are the logits of these scores, the output's own row where it
            is no softmax or sigmoid; None where no row has them in the output's order.
        threshold: of a single score, from which on it stands for the second class.
    """

    name: str
    node: str
    shape: tuple[int, ...]
    classes: bool = False
    logits: str | None = None
    threshold: float = 0.0

    @property
    def flat(self) -> bool:
        """Whether it is one vector per image: an answer of the whole network, if it is scores."""
        return max(self.shape, default=1) == int(np.prod(self.shape))

    @property
    def width(self) -> int:
        """How many scores belong to one answer."""
        return int(np.prod(self.shape)) if self.flat else self.shape[-1]


def outputs_of(graph: Graph, scores: Sequence[int] = ()) -> tuple[Output, ...]:
    """The outputs of a folded graph.

    Args:
        graph: the graph.
        scores: positions of outputs that are scores of classes whatever they end in.
    """
    found = []
    for place, (name, node) in enumerate(zip(graph.output_names, graph.outputs, strict=True)):
        row = graph.by_name[graph.makers[node]]
        shape = graph.by_name[node].output_shape
        ends = row.op if row.output_shape == shape else ""
        alone = ends == "sigmoid" and shape == (1,)
        classes = place in scores or ends in ("softmax", "log_softmax") or alone
        threshold = 0.5 if row.op == "sigmoid" else 0.0
        made = Output(name, node, shape, classes, None, threshold)
        found.append(replace(made, logits=_logits(graph, made, row)))
    return tuple(found)


def _logits(graph: Graph, output: Output, row: Node) -> str | None:
    """See `Output.logits`."""
    if row.traits.scores and graph.makers[row.inputs[0]] not in graph.inputs:
        moved = {op for op, _ in graph.moves(row)} & MOVING
        return None if moved and not output.flat else graph.makers[row.inputs[0]]
    return row.name if output.flat or row.output_shape == output.shape else None


class OutputSums:
    """One output of one quantized network against fp32, over all images.

    Attributes:
        output: which.
        error, signal, largest, values: sums over all numbers of (fp32 - quantized)^2 and of
            fp32^2, the largest |fp32 - quantized|, and how many numbers there were.
        answers, changed: how many answers scores of classes gave, and how many of them change.
        distances, compared: sums over answers of (QMSE, QCE, QKL-Div), see
            `classification.compare_outputs`, and how many answers were compared so.
    """

    def __init__(self, output: Measurable) -> None:
        self.output = output
        self.error = self.signal = self.largest = 0.0
        self.values = self.answers = self.changed = self.compared = 0
        self.distances = np.zeros(3)

    def add(self, reference: NDArray, quantized: NDArray) -> None:
        """Takes in the values of some images, [N, ...] real numbers each."""
        x, q = (np.asarray(values, np.float64).reshape(-1) for values in (reference, quantized))
        apart = np.abs(x - q)
        self.error += float(np.dot(apart, apart))
        self.signal += float(np.dot(x, x))
        self.largest = max(self.largest, float(apart.max(initial=0.0)))
        self.values += x.size
        if self.output.classes:
            best = [self._best(values) for values in (x, q)]
            self.changed += int((best[0] != best[1]).sum())
            self.answers += len(best[0])

    def merge(self, other: "OutputSums") -> "OutputSums":
        """The sums over both sets of images."""
        merged = OutputSums(self.output)
        for name in ("error", "signal", "values", "answers", "changed", "distances", "compared"):
            setattr(merged, name, getattr(self, name) + getattr(other, name))
        merged.largest = max(self.largest, other.largest)
        return merged

    def _best(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        scores = values.reshape(-1, self.output.width)
        return two_classes(scores, self.output.threshold).argmax(axis=1)

    def add_logits(self, reference: NDArray, quantized: NDArray) -> None:
        """Takes in the logits of some images' scores, as many real numbers each."""
        p, q = (
            two_classes(np.asarray(values, np.float64).reshape(-1, self.output.width))
            for values in (reference, quantized)
        )
        told = classification.compare_outputs(p, q)
        self.compared += len(p)
        self.distances += len(p) * np.array([told.qmse, told.qce, told.qkl_div])

    @property
    def mean_distances(self) -> tuple[float, float, float]:
        """(QMSE, QCE, QKL-Div) over all answers that were compared; there must be some."""
        qmse, qce, qkl_div = self.distances / self.compared
        return float(qmse), float(qce), float(qkl_div)


def real(codes: NDArray, params: QuantParams | None) -> NDArray[np.float64]:
    """Real numbers [N, ...] of what a tensor holds."""
    return codes.astype(np.float64) if params is None else dequantize(codes, params)


def results_of(trials: Sequence[Sequence[OutputSums]]) -> tuple[OutputResult, ...]:
    """The record of every output, over trials.

    Args:
        trials: for every trial the sums of every output.
    """
    found = []
    for sums in zip(*trials, strict=True):
        output = sums[0].output
        divergence = changed = None
        if output.classes:
            changed = spread([s.changed / s.answers for s in sums])
        if sums[0].compared:
            divergence = spread([s.mean_distances[2] for s in sums])
        found.append(
            OutputResult(
                name=output.name,
                shape=tuple(map(int, output.shape)),
                qmse=spread([s.error / s.values for s in sums]),
                sqnr_db=spread([float(metrics.decibels(s.signal, s.error)) for s in sums]),
                largest_error=spread([s.largest for s in sums]),
                qkl_div=divergence,
                changed_answers=changed,
            )
        )
    return tuple(found)


def logits_node(graph: Graph, output: Output) -> str:
    """The node whose value are the logits of an output's scores; else the output's own."""
    rows = {row.name: row.output for row in graph.rows}
    return output.node if output.logits is None else rows[output.logits]
