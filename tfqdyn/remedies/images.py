"""What remedies may look at: unlabeled calibration images, and the ranges drawn from them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn import datasets
from tfqdyn.config import AnalysisConfig
from tfqdyn.console import Progress, silent
from tfqdyn.datasets import Batch
from tfqdyn.measurement.bench import Bench
from tfqdyn.measurement.capture import KerasActivations
from tfqdyn.measurement.sampling import chunking
from tfqdyn.network.folding import Folded
from tfqdyn.network.graph import Graph
from tfqdyn.numerics.classification import compare_outputs, softmax, two_classes
from tfqdyn.numerics.grid import QuantParams
from tfqdyn.quantization.fakequant import quantization_of
from tfqdyn.quantization.stepwise import channel_means
from tfqdyn.remedies.judging import QKL_DIV, distance, judged_nodes, yardstick_of
from tfqdyn.schemes import SCHEMES

Ranges = Mapping[str, tuple[float, float]]
"""Calibrated (minimum, maximum) of the input and of rows, by name."""


@dataclass(frozen=True, eq=False)
class CalibrationImages:
    """Calibration images, without labels.

    Attributes:
        images: indexable raw images [N, H, W, C] or other data [N, ...], or `datasets.Inputs`.
        indices: which of them may be looked at.
        config: scheme, preprocessing, calibrator and threads.
        progress: wraps long loops.
        draft: for a first trial; remedies that iterate take fewer steps.
    """

    images: Any
    indices: NDArray[np.int64]
    config: AnalysisConfig
    progress: Progress = silent
    draft: bool = False
    _ranges: dict[Graph, Ranges] = field(default_factory=dict, init=False, repr=False)

    @property
    def dtype(self) -> str:
        """Of the codes of activations and kernels, by the scheme."""
        return SCHEMES[self.config.scheme].activations

    def chunks(self, graph: Graph) -> Iterator[Batch]:
        """The images, preprocessed, in chunks whose activations fit into memory."""
        for chunk, valid in self._padded(graph):
            yield chunk[:valid]

    def _padded(self, graph: Graph) -> Iterator[tuple[Batch, int]]:
        size, _ = chunking(graph, graph.rows, self.config)
        mode = self.config.preprocessing
        for chunk, indices, _ in datasets.chunks(self.images, self.indices, size, mode):
            yield chunk, len(indices)

    def activations(self, graph: Graph, nodes: list[str]) -> Iterator[list[NDArray[np.float32]]]:
        """fp32 values of nodes, chunk by chunk; valid until the next chunk."""
        run = KerasActivations(graph, nodes)
        for chunk, valid in self._padded(graph):
            yield [value[:valid] for value in run(chunk)]

    def ranges(self, folded: Folded) -> Ranges:
        """Calibrated ranges of the inputs and of every row of the fp32 network, by name."""
        graph = folded.graph
        if graph not in self._ranges:
            with Bench(graph, self.config) as bench:
                sites = bench.calibrate(self.images, self.indices)
            self._ranges[graph] = {name: (site.low, site.high) for name, site in sites.items()}
        return self._ranges[graph]

    def params(self, folded: Folded) -> dict[str, QuantParams]:
        """Parameters of the inputs and of every row's output, by name."""
        return quantization_of(folded.graph, self.ranges(folded), self.dtype)

    def linear_means(self, graph: Graph) -> dict[str, NDArray[np.float64]]:
        """For every linear layer the mean of each channel in fp32, before activation."""
        nodes = [node.name for node in graph if node.traits.has_kernel]
        totals = {name: (np.zeros(1), 0) for name in nodes}
        for values in self.activations(graph, nodes):
            for name, value in zip(nodes, values, strict=True):
                count = value.size // value.shape[-1]
                total, seen = totals[name]
                totals[name] = (total + channel_means([value]) * count, seen + count)
        return {name: total / seen for name, (total, seen) in totals.items()}

    def outputs(self, graph: Graph, node: str) -> NDArray[np.float32]:
        """fp32 values of one node over all images, [N, K]."""
        (values,) = self._outputs(graph, [node])
        return values

    def _outputs(self, graph: Graph, nodes: list[str]) -> list[NDArray[np.float32]]:
        found: list[list[NDArray[np.float32]]] = [[] for _ in nodes]
        for values in self.activations(graph, nodes):
            for held, value in zip(found, values, strict=True):
                held.append(value.reshape(len(value), -1).copy())
        return [np.concatenate(held) for held in found]

    def answers(self, graph: Graph) -> list[NDArray[np.float32]]:
        """What the fp32 network gives for all images, `judging.Answers`."""
        return self._outputs(graph, judged_nodes(graph, self.config.task))

    def logits(self, graph: Graph) -> NDArray[np.float32]:
        """fp32 logits of a classifier over all images, [N, K]."""
        return self.answers(graph)[0]

    def fp32_change(self, before: Graph, after: Graph) -> dict[str, float]:
        """How far two fp32 networks' outputs differ on the images.

        Returns:
            Of classifiers `output_qkl_div` in nats (0 is best), `largest_change` of any output's
            probability, and `same_top1`, the share of images whose best class stays; of other
            networks `output_noise` over signal, and `largest_change` of any output.
        """
        yardstick = yardstick_of(before, self.config.task)
        answers = [self.answers(graph) for graph in (before, after)]
        if yardstick is not QKL_DIV:
            changes = [np.abs(a - b).max() for a, b in zip(*answers, strict=True)]
            apart = distance(yardstick, *answers)
            return {yardstick.key: apart, "largest_change": float(max(changes))}
        first, second = (two_classes(logits) for (logits,) in answers)
        return {
            "output_qkl_div": compare_outputs(first, second).qkl_div,
            "largest_change": float(np.abs(softmax(first) - softmax(second)).max()),
            "same_top1": float(np.mean(first.argmax(axis=1) == second.argmax(axis=1))),
        }
