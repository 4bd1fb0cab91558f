"""How far the outputs of two networks are apart, without labels: what remedies are judged by.

Of a network whose only output is one score per class that is the output QKL-Div in nats; of all
others the mean over their outputs of noise over signal, the inverse of the SQNR.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfqdyn.measurement.outputs import logits_node
from tfqdyn.measurement.tasks import scores_of
from tfqdyn.network.graph import Graph
from tfqdyn.numerics.classification import compare_outputs, two_classes

Answers = Sequence[NDArray]
"""What a network gives for some images, [N, K] each: its logits, or all its outputs."""


@dataclass(frozen=True)
class Yardstick:
    """A distance of outputs; 0 is best.

    Attributes:
        name: in words.
        unit: what errors say of it.
        key: in records.
        tolerance: largest distance between the fp32 outputs before and after a remedy.
        good_enough: distance from fp32 below which nothing is looked for any more.
    """

    name: str
    unit: str
    key: str
    tolerance: float
    good_enough: float

    @property
    def short(self) -> str:
        """The key without what it is of: "qkl_div"."""
        return self.key.removeprefix("output_")


QKL_DIV = Yardstick("output QKL-Div", "nats of QKL-Div", "output_qkl_div", 0.01, 0.002)
NOISE = Yardstick("output noise over signal", "of their signal", "output_noise", 0.001, 0.0001)
"""SQNRs of 30 and 40 dB."""


def yardstick_of(graph: Graph, task: str | None) -> Yardstick:
    """What a network's outputs are judged by.

    Args:
        graph: a folded graph.
        task: of the configuration.
    """
    return NOISE if scores_of(graph, task) is None else QKL_DIV


def judged_nodes(graph: Graph, task: str | None) -> list[str]:
    """The nodes whose values are a network's answers."""
    scores = scores_of(graph, task)
    return list(graph.outputs) if scores is None else [logits_node(graph, scores)]


def distance(yardstick: Yardstick, reference: Answers, answers: Answers) -> float:
    """How far answers are from those of another network for the same images."""
    if yardstick is QKL_DIV:
        (p,), (q,) = reference, answers
        return compare_outputs(two_classes(p), two_classes(q)).qkl_div
    shares = []
    for x, q in zip(reference, answers, strict=True):
        exact = np.asarray(x, np.float64)
        signal, error = float(np.sum(exact**2)), float(np.sum((q - exact) ** 2))
        shares.append(error / signal if signal else (np.inf if error else 0.0))
    return float(np.mean(shares))
