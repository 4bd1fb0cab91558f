"""Passes over images: one network in fp32, chunks that fit into memory, threads, progress."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial, reduce
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn import datasets
from tfqdyn.config import AnalysisConfig
from tfqdyn.console import Progress, silent
from tfqdyn.measurement import sampling
from tfqdyn.measurement.capture import KerasActivations
from tfqdyn.measurement.layerstats import HistogramConfig
from tfqdyn.measurement.measured import Measured, Trial
from tfqdyn.measurement.ownerror import OwnComparison, OwnTrial
from tfqdyn.measurement.ownsums import OwnSums, merged
from tfqdyn.measurement.reference import Reference
from tfqdyn.measurement.sampling import SCORED_BYTES, chunking
from tfqdyn.measurement.streaming import Activations, Comparison, Workers
from tfqdyn.measurement.tasks import Plan
from tfqdyn.network.graph import Graph
from tfqdyn.quantization.calibration import SiteRange, calibrate
from tfqdyn.quantization.deployment import watched


class Bench:
    """Runs a graph in fp32 to calibrate, and to hold what is deployed of it against it.

    Use it as a context: it holds threads.

    Args:
        graph: a folded graph.
        config: preprocessing, chunks, threads, calibrator, histograms.
        progress: wraps the long loops.
    """

    def __init__(self, graph: Graph, config: AnalysisConfig, progress: Progress = silent) -> None:
        rows = graph.rows
        self._graph, self._config, self._progress = graph, config, progress
        self._chunk, parts = chunking(graph, rows, config)
        self._larger, _ = chunking(graph, rows, config, SCORED_BYTES)
        self._names = [*graph.inputs, *(row.name for row in rows)]
        seen = [*graph.inputs, *(row.output for row in rows)]
        self._run = KerasActivations(graph, list(dict.fromkeys([*seen, *graph.outputs])))
        self._rows: Activations = lambda images: self._run(images)[: len(seen)]
        self._observed = self._rows
        if (sites := watched(graph, config)) is not None:
            run = KerasActivations(graph, sites.nodes)
            self._names = list(sites.names)
            self._observed = lambda images: sites(run.by_node(images))
        self._workers = Workers(ThreadPoolExecutor(config.threads), parts)

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.executor.shutdown()

    def calibrate(
        self, images: Any, indices: NDArray[np.int64], what: str = "calibrate"
    ) -> dict[str, SiteRange]:
        """Ranges of the inputs and of every row, or of `watched` sites, over images, by name."""
        config, executor = self._config, self._workers.executor
        chunks = self._stream(images, indices, what, self._chunk)
        rule, names = config.rule, self._names
        sites = calibrate(self._observed, chunks, len(indices), rule, config.bins, executor, names)
        return dict(zip(names, sites, strict=True))

    def singles(self, images: Any, indices: NDArray[np.int64]) -> Callable[[], Iterable[Any]]:
        """Gives the same images, one in a chunk."""
        return partial(datasets.chunks, images, indices, 1, self._config.preprocessing)

    def comparison(self, trials: Sequence[Trial], plan: Plan) -> Callable[..., Measured]:
        """Holds every trial's rows and outputs against the fp32 network that the user gave.

        Args:
            trials: of one fp32 network.
            plan: what is measured of the outputs.

        Returns:
            What takes images, and indices of those that are scored; it keeps interpreters.
        """
        config, rows = self._config, trials[0].deployed.rows
        reference = Reference(trials[0].folded, rows, plan, self._run)
        histograms = HistogramConfig(config.bins, config.epsilon)
        over = Comparison(reference, trials, plan, self._workers, histograms).over

        def compare(images: Any, indices: NDArray[np.int64]) -> Measured:
            blocks = self._blocks(images, indices, "compare layers", self._larger)
            return reduce(Measured.merge, map(over, blocks))

        return compare

    def own_comparison(self, trials: Sequence[OwnTrial]) -> Callable[..., list[list[OwnSums]]]:
        """Every trial's own errors, row by row; nothing where there are no trials.

        Returns:
            What takes images, and indices of those that are scored; it keeps interpreters.
        """
        over = OwnComparison(self._rows, self._graph, trials, self._workers).over

        def compare(images: Any, indices: NDArray[np.int64]) -> list[list[OwnSums]]:
            blocks = self._blocks(images, indices, "own errors", self._chunk)
            return reduce(merged, map(over, blocks))

        return compare if trials else lambda *_: []

    def _stream(
        self, images: Any, indices: NDArray[np.int64], what: str, size: int
    ) -> Iterable[Any]:
        (chunks,) = self._cut(images, [indices], what, size)
        return chunks

    def _blocks(
        self, images: Any, indices: NDArray[np.int64], what: str, size: int
    ) -> Iterator[Iterable[Any]]:
        return self._cut(images, sampling.blocks(indices), what, size)

    def _cut(
        self, images: Any, blocks: Sequence[NDArray[np.int64]], what: str, size: int
    ) -> Iterator[Iterable[Any]]:
        """The chunks of one block after the other; progress is over all."""
        mode = self._config.preprocessing
        of_each = [math.ceil(len(block) / size) for block in blocks]
        chunks = chain.from_iterable(datasets.chunks(images, b, size, mode) for b in blocks)
        told = iter(self._progress(chunks, what, sum(of_each)))
        return (islice(told, count) for count in of_each)


def learned(
    sites: Mapping[str, SiteRange], ranges: Mapping[str, tuple[float, float]]
) -> dict[str, SiteRange]:
    """Calibrated ranges, with the ends that training learned where it did."""
    return {
        name: site if name not in ranges else site.between(*ranges[name])
        for name, site in sites.items()
    }
