"""One streaming pass: every layer of the fp32 network against every trial's quantized one.

A chunk of images goes through Keras once and, cut into one part a thread, through every trial's
interpreters; then layers are compared in parallel, each by one thread, images in order. So
memory holds one chunk, and figures depend neither on the chunk's size nor on the threads.

Images come in blocks (`sampling.blocks`), each of which is summed up by itself; blocks are merged
in their order. So figures do not depend on who sums up which block, either.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.datasets import Inputs
from tfqdyn.measurement.layerstats import HistogramConfig, PairSums, ValueSums
from tfqdyn.measurement.measured import Fp32, Measured, Trial
from tfqdyn.measurement.outputs import OutputSums, real
from tfqdyn.measurement.tasks import Plan
from tfqdyn.numerics import loops
from tfqdyn.numerics.finiteness import NonFiniteError, OverflowedError
from tfqdyn.quantization.deployed import Run

Activations = Callable[[Any], list[NDArray[np.float32]]]
"""fp32 values of sites for a chunk of images, a `datasets.Batch`."""
Chunk = tuple[Any, NDArray[np.int64], list[bytes]]
"""As `datasets.chunks` yields them."""


@dataclass(frozen=True)
class Workers:
    """Threads, and into how many parts they cut a chunk for the interpreters."""

    executor: Executor
    parts: int


class Comparison:
    """The fp32 network held against every trial's quantized one, over one block after another.

    Interpreters are made when the first chunk comes, and kept.

    Args:
        reference: gives the fp32 values for a chunk of images.
        trials: at least one; of the same rows.
        plan: what is measured of the outputs.
        workers: what runs interpreters and comparisons.
        config: bins and epsilon of the histograms.

    Raises:
        ValueError: the file holds no tensor of the main output's logits.
    """

    def __init__(
        self,
        reference: Callable[[Any], Fp32],
        trials: Sequence[Trial],
        plan: Plan,
        workers: Workers,
        config: HistogramConfig,
    ) -> None:
        self._reference, self._trials, self._plan = reference, trials, plan
        self._workers, self._config = workers, config
        self._logits_rows = logits_rows(plan, [row.name for row in trials[0].deployed.rows])
        self._networks: list[list[Run]] = []

    def over(self, chunks: Iterable[Chunk]) -> Measured:
        """Runs every chunk of a block through all networks and compares all layers.

        Args:
            chunks: as `datasets.chunks` yields them; all of one size, which `workers.parts`
                divides, and the same for every block.

        Raises:
            OverflowedError: values of a row are NaN or infinite; the first such row is named.
        """
        sums = _Sums(self._trials, self._plan, self._logits_rows, self._workers, self._config)
        for images, indices, digests in chunks:
            sums.add(self._reference(images), self._run(images), indices)
            sums.add_images(images, len(indices), digests)
        return sums.measured()

    def _run(self, images: Any) -> list[list[list[NDArray]]]:
        """What every trial's interpreters hold after a chunk: by trial, part, and row or output."""
        count = len(images) // self._workers.parts
        parts = [images[k * count : (k + 1) * count] for k in range(self._workers.parts)]
        if not self._networks:
            size = len(parts[0])
            self._networks = [[t.deployed.runner(size) for _ in parts] for t in self._trials]
        submit = self._workers.executor.submit
        jobs = [
            [submit(network, part) for network, part in zip(networks, parts, strict=True)]
            for networks in self._networks
        ]
        return [[job.result() for job in row] for row in jobs]


class _Sums:
    """What one block comes to."""

    def __init__(
        self,
        trials: Sequence[Trial],
        plan: Plan,
        logits: Sequence[int | None],
        workers: Workers,
        config: HistogramConfig,
    ) -> None:
        self._trials, self._plan, self._workers = trials, plan, workers
        rows = trials[0].deployed.rows
        self._logits_rows = logits
        self._names = [row.name for row in rows]
        self.values = [ValueSums() for _ in rows]
        self.pairs = [
            [
                PairSums(site, trial.deployed.grid(row.name), row.output_shape[-1], config)
                for site, row in zip(trial.sites, trial.deployed.rows, strict=True)
            ]
            for trial in trials
        ]
        self._digests: list[bytes] = []
        self._powers: list[list[NDArray]] = []
        self._scored: list[NDArray[np.int64]] = []
        self._logits: list[NDArray] = []
        self._changed_logits: list[NDArray] = []
        self._quantized_logits: list[list[NDArray]] = [[] for _ in trials]
        self._scores: list[list[NDArray]] = [[] for _ in trials]
        self.outputs = [[OutputSums(output) for output in plan.outputs] for _ in trials]
        self.gauges = [plan.gauges() for _ in range(1 + len(trials))]

    def add(
        self,
        fp32: Fp32,
        codes: list[list[list[NDArray]]],
        indices: NDArray[np.int64],
    ) -> None:
        """Takes in the first images of a chunk, one for each of their `indices`.

        `fp32.rows` and `codes` are emptied before this returns: interpreters refuse to run while
        views into them live, and two chunks of activations would not fit.
        """
        rows = fp32.rows
        valid = len(indices)
        self._scored.append(indices)
        size = len(rows[0]) // self._workers.parts
        cuts = [slice(start, min(start + size, valid)) for start in range(0, valid, size)]

        def compare(row: int) -> OverflowedError | None:
            for trial, sums in enumerate(self.pairs):
                values = self.values[row] if trial == 0 else None
                for part, cut in enumerate(cuts):
                    x, q = rows[row][cut], codes[trial][part][row][: cut.stop - cut.start]
                    try:
                        sums[row].add(x, q, values)
                    except NonFiniteError as error:
                        network = "quantized" if np.isfinite(x[error.image]).all() else "fp32"
                        image = int(indices[cut.start + error.image])
                        return OverflowedError(self._names[row], network, "test", image)
            return None

        largest_first = sorted(range(len(rows)), key=lambda row: -rows[row].size)
        found = zip(largest_first, self._workers.executor.map(compare, largest_first))
        overflowed = {row: error for row, error in found if error is not None}
        if overflowed:
            raise overflowed[min(overflowed)]
        main = self._plan.main
        if main is not None:
            self._logits.append(_flat(fp32.logits[main][:valid]).copy())
        if fp32.changed_logits is not None:
            self._changed_logits.append(_flat(fp32.changed_logits[:valid]).copy())
        for gauge in self.gauges[0]:
            gauge.add([values[:valid] for values in fp32.outputs], indices)
        for trial, parts in enumerate(codes):
            for part, cut in enumerate(cuts):
                held = [values[: cut.stop - cut.start] for values in parts[part]]
                self._add_outputs(trial, fp32, held, cut, indices[cut])
                del held
        rows.clear()
        codes.clear()

    def _add_outputs(
        self,
        trial: int,
        fp32: Fp32,
        held: Sequence[NDArray],
        cut: slice,
        indices: NDArray[np.int64],
    ) -> None:
        """Takes in one part's outputs of one trial; `held` are its rows, then its outputs."""
        deployed, first = self._trials[trial].deployed, len(self.pairs[trial])
        found = [real(c, g) for c, g in zip(held[first:], deployed.output_grids, strict=True)]
        for place, sums in enumerate(self.outputs[trial]):
            sums.add(fp32.outputs[place][cut], found[place])
            row = self._logits_rows[place]
            if sums.output.classes and row is not None:
                grid = self.pairs[trial][row].params
                logits = _flat(real(held[row], grid))
                sums.add_logits(fp32.logits[place][cut], logits)
                if place == self._plan.main:
                    self._quantized_logits[trial].append(logits)
                    self._scores[trial].append(_flat(held[first + place]).copy())
        shapes = [(len(indices), *output.shape) for output in self._plan.outputs]
        for gauge in self.gauges[1 + trial]:
            real_outputs = [v.astype(np.float32).reshape(s) for v, s in zip(found, shapes)]
            gauge.add(real_outputs, indices)

    def add_images(self, images: Any, count: int, digests: Sequence[bytes]) -> None:
        """Takes in the first `count` images themselves."""
        arrays = list(images.arrays.values()) if isinstance(images, Inputs) else [images]
        self._powers = self._powers or [[] for _ in arrays]
        for held, array in zip(self._powers, arrays, strict=True):
            powers = np.empty(count)
            loops.mean_squares(_flat(array[:count]), powers)
            held.append(powers)
        self._digests += digests

    def measured(self) -> Measured:
        """What was taken in so far."""
        return Measured(
            trials=self._trials,
            scored=np.concatenate(self._scored),
            values=self.values,
            pairs=self.pairs,
            plan=self._plan,
            outputs=self.outputs,
            logits=np.concatenate(self._logits) if self._logits else None,
            changed_logits=np.concatenate(self._changed_logits) if self._changed_logits else None,
            quantized_logits=[np.concatenate(c) for c in self._quantized_logits if c],
            scores=[np.concatenate(chunks) for chunks in self._scores if chunks],
            gauges=self.gauges,
            powers=[np.concatenate(powers) for powers in self._powers],
            digests=self._digests,
        )


def logits_rows(plan: Plan, rows: Sequence[str]) -> list[int | None]:
    """For every output the position of the row whose values its class figures are computed from.

    None where the file has no tensor of it; figures of these are left out.

    Raises:
        ValueError: of the main output, whose figures are the network's.
    """
    found: list[int | None] = []
    for place, output in enumerate(plan.outputs):
        name = output.logits
        if place == plan.main and name not in rows:
            raise ValueError(
                f"the file holds no tensor of {name!r}, the logits, which the output metrics are "
                "computed from"
            )
        found.append(rows.index(name) if name is not None and name in rows else None)
    return found


def _flat(array: NDArray) -> NDArray:
    return array.reshape(len(array), -1)
