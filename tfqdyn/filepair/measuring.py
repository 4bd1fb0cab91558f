"""Both files run side by side: ranges of the float one's rows, then every row compared.

A chunk of samples is cut into one part per thread; each part goes through an interpreter of each
file. Rows are then compared in parallel, each by one thread and samples in order, so figures depend
neither on the chunk's size nor on the threads. Memory holds one chunk.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import by_input
from tfqdyn.filepair.rows import Row
from tfqdyn.filepair.running import FileRun
from tfqdyn.filepair.side import Side
from tfqdyn.filepair.tasks import Plan
from tfqdyn.measurement.layerstats import HistogramConfig, PairSums, ValueSums
from tfqdyn.measurement.outputs import OutputSums, real
from tfqdyn.numerics import loops
from tfqdyn.numerics.finiteness import NonFiniteError, OverflowedError
from tfqdyn.quantization.calibration import SiteRange, calibrate

Chunk = tuple[Any, NDArray[np.int64], list[bytes]]


@dataclass(frozen=True)
class Bench:
    """What runs the files.

    Attributes:
        executor: threads.
        parts: how many parts a chunk is cut into.
        at_once: samples in one part.
    """

    executor: Executor
    parts: int
    at_once: int

    @property
    def chunk(self) -> int:
        """Samples in a chunk."""
        return self.parts * self.at_once

    def runs(self, side: Side, tensors: Sequence[int]) -> list[FileRun]:
        """An interpreter for each part."""
        return [FileRun(side, tensors, self.at_once) for _ in range(self.parts)]

    def split(self, batch: Any, names: Sequence[str]) -> list[dict[str, NDArray]]:
        """A chunk of `datasets.chunks` cut into its parts, by the inputs' names."""
        arrays = by_input(names, batch)
        return [
            {n: a[k * self.at_once : (k + 1) * self.at_once] for n, a in arrays.items()}
            for k in range(self.parts)
        ]


def ranges_of(
    side: Side,
    rows: Sequence[Row],
    chunks: Iterable[Chunk],
    images: int,
    config: AnalysisConfig,
    bench: Bench,
) -> list[SiteRange]:
    """The calibrated range of every row, over the float file's values for some samples.

    Raises:
        OverflowedError: a value is NaN or infinite.
    """
    names = [port.name for port in side.inputs]
    runs = bench.runs(side, [row.reference for row in rows])
    held = [np.empty((bench.chunk, *row.node.output_shape), np.float32) for row in rows]

    def run_part(number: int, part: dict[str, NDArray]) -> None:
        place = slice(number * bench.at_once, (number + 1) * bench.at_once)
        for values, made in zip(held, runs[number](part), strict=True):
            values[place] = made.reshape(values[place].shape)

    def activations(batch: Any) -> list[NDArray[np.float32]]:
        list(bench.executor.map(run_part, range(bench.parts), bench.split(batch, names)))
        return held

    return calibrate(
        activations, chunks, images, config.rule, config.bins, bench.executor,
        [row.node.name for row in rows],
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Compared:
    """What the pass over the scored samples came to.

    Attributes:
        pairs, values: for every row the comparison, and its float values' description.
        outputs: for every output the comparison.
        powers: for every input the mean square of each sample [N].
        digests: SHA-256 of every sample.
    """

    pairs: Sequence[PairSums]
    values: Sequence[ValueSums]
    outputs: Sequence[OutputSums]
    powers: Sequence[list[NDArray[np.float64]]]
    digests: list[bytes]


class Comparison:
    """Compares rows and outputs of two files.

    Args:
        reference, quantized: the files, tried.
        rows: what is compared.
        plan: what is measured of the outputs.
        sites: the rows' calibrated ranges.
        config: bins and epsilon of the histograms.
        bench: runs the files.
    """

    def __init__(
        self,
        reference: Side,
        quantized: Side,
        rows: Sequence[Row],
        plan: Plan,
        sites: Sequence[SiteRange],
        config: AnalysisConfig,
        bench: Bench,
    ) -> None:
        self._rows, self._plan, self._bench = rows, plan, bench
        outputs = plan.outputs
        self._names = [port.name for port in reference.inputs]
        self._there = [port.name for port in quantized.inputs]
        extra = [o.logits for o in outputs if o.logits is not None]
        ours = [*(o.reference for o in outputs), *(first for first, _, _ in extra)]
        theirs = [*(o.quantized for o in outputs), *(second for _, second, _ in extra)]
        self._ours = bench.runs(reference, [*(row.reference for row in rows), *ours])
        self._theirs = bench.runs(quantized, [*(row.quantized for row in rows), *theirs])
        histograms = HistogramConfig(config.bins, config.epsilon)
        self.compared = Compared(
            pairs=[
                PairSums(site, row.params, row.node.output_shape[-1], histograms)
                for site, row in zip(sites, rows, strict=True)
            ],
            values=[ValueSums() for _ in rows],
            outputs=[OutputSums(output) for output in outputs],
            powers=[[] for _ in self._names],
            digests=[],
        )

    def add(self, batch: Any, indices: NDArray[np.int64], digests: list[bytes]) -> None:
        """Takes in a chunk of `datasets.chunks`.

        Raises:
            OverflowedError: values of a row are NaN or infinite; the first such row is named.
        """
        parts = self._bench.split(batch, self._names)
        renamed = [
            dict(zip(self._there, (part[name] for name in self._names), strict=True))
            for part in parts
        ]
        submit = self._bench.executor.submit
        jobs = [submit(run, part) for run, part in zip(self._ours, parts, strict=True)]
        jobs += [submit(run, part) for run, part in zip(self._theirs, renamed, strict=True)]
        made = [job.result() for job in jobs]
        del jobs  # interpreters refuse to run while views into them live
        self._compare(made[: len(parts)], made[len(parts) :], indices)
        for powers, array in zip(self.compared.powers, by_input(self._names, batch).values()):
            flat = np.ascontiguousarray(array[: len(indices)]).reshape(len(indices), -1)
            means = np.empty(len(indices))
            loops.mean_squares(flat.astype(np.float32, copy=False), means)
            powers.append(means)
        self.compared.digests.extend(digests)

    def _compare(
        self, ours: list[list[NDArray]], theirs: list[list[NDArray]], indices: NDArray[np.int64]
    ) -> None:
        size = self._bench.at_once
        held = [max(0, min(size, len(indices) - k * size)) for k in range(self._bench.parts)]
        rows = range(len(self._rows))
        largest = sorted(rows, key=lambda row: -ours[0][row].size)

        def compare(row: int) -> OverflowedError | None:
            shape = self._rows[row].node.output_shape
            for part, count in enumerate(held):
                if not count:
                    continue
                x = ours[part][row][:count].astype(np.float32, copy=False).reshape(count, *shape)
                q = _readable(theirs[part][row][:count]).reshape(count, *shape)
                try:
                    self.compared.pairs[row].add(x, q, self.compared.values[row])
                except NonFiniteError as error:
                    network = "quantized" if np.isfinite(x[error.image]).all() else "fp32"
                    image = int(indices[part * size + error.image])
                    name = self._rows[row].node.name
                    return OverflowedError(name, network, "test", image)
            return None

        found = zip(largest, self._bench.executor.map(compare, largest), strict=True)
        overflowed = {row: error for row, error in found if error is not None}
        if overflowed:
            raise overflowed[min(overflowed)]
        for part, count in enumerate(held):
            if count:
                some = indices[part * size : part * size + count]
                first = [values[:count] for values in ours[part][len(rows) :]]
                second = [values[:count] for values in theirs[part][len(rows) :]]
                self._add_outputs(first, second, some)

    def _add_outputs(
        self, ours: list[NDArray], theirs: list[NDArray], indices: NDArray[np.int64]
    ) -> None:
        """Takes in one part's outputs, then the logits of those that have some."""
        place = len(self.compared.outputs)
        whole: tuple[list[NDArray], list[NDArray]] = ([], [])
        for k, sums in enumerate(self.compared.outputs):
            output = self._plan.outputs[k]
            x, q = ours[k].astype(np.float64), real(theirs[k], output.params)
            for one, other in zip(x, q, strict=True):  # one by one: chunks change no digit
                sums.add(one[None], other[None])
            for values, held in zip((x, q), whole, strict=True):
                held.append(values.astype(np.float32).reshape(len(indices), *output.shape))
            if self._plan.answers is not None and self._plan.answers.place == k:
                self._plan.answers.add(x, q, indices)
            if output.logits is not None:
                x, q = ours[place].astype(np.float64), real(theirs[place], output.logits[2])
                place += 1
            if output.classes:
                for one, other in zip(x, q, strict=True):
                    sums.add_logits(one, other)
        for gauges, values in zip(self._plan.gauges, whole, strict=True):
            for gauge in gauges:
                gauge.add(values, indices)


def _readable(values: NDArray) -> NDArray:
    """Values in a form that the loops take."""
    return values if values.dtype.name != "float16" else values.astype(np.float32)
