"""One streaming pass: every layer of the fp32 network against every trial's quantized one.

A chunk of images goes through Keras once and, cut into one part a thread, through every trial's
interpreters; then layers are compared in parallel, each by one thread, images in order. So
memory holds one chunk, and figures depend neither on the chunk's size nor on the threads.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfqdyn.measurement.layerstats import HistogramConfig, PairSums, ValueSums
from tfqdyn.network.folding import Folded
from tfqdyn.numerics import loops
from tfqdyn.numerics.finiteness import NonFiniteError, OverflowedError
from tfqdyn.numerics.grid import QuantParams, dequantize
from tfqdyn.quantization.calibration import SiteRange
from tfqdyn.quantization.deployed import Deployed, Run

Activations = Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]
Chunk = tuple[NDArray[np.float32], NDArray[np.int64], list[bytes]]


@dataclass(frozen=True, eq=False)
class Fp32:
    """fp32 values of a chunk of images.

    Attributes:
        rows: of every row [N, ...], what its quantized values are held against.
        logits: of the network that the user gave [N, ...].
        changed_logits: of the network as remedies or training left it [N, ...]; None where that is
            still the one given.
    """

    rows: list[NDArray[np.float32]]
    logits: NDArray[np.float32]
    changed_logits: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Workers:
    """Threads, and into how many parts they cut a chunk for the interpreters."""

    executor: Executor
    parts: int


@dataclass(frozen=True, eq=False)
class Trial:
    """One calibration draw: the network, ranges of its sites, and what is deployed of it.

    Attributes:
        folded: the network in fp32.
        sites: the range of every deployed row.
        deployed: the network with these ranges.
    """

    folded: Folded
    sites: Sequence[SiteRange]
    deployed: Deployed


@dataclass(frozen=True, eq=False)
class Measured:
    """What the pass came to: trials that score the same images.

    Attributes:
        trials: what was run.
        scored: positions of the images in their source, [N].
        values: for every row the description of its fp32 activations.
        pairs: for every trial and row the comparison.
        logits: fp32 logits [N, K], float32, of the network that the user gave.
        changed_logits: of the network as remedies or training left it [N, K]; None where that is
            still the one given.
        quantized_logits: for every trial the dequantized logits [N, K].
        scores: for every trial the deployed model's output codes [N, K].
        powers: mean square of every preprocessed image [N].
        digests: SHA-256 of every image.
    """

    trials: Sequence[Trial]
    scored: NDArray[np.int64]
    values: Sequence[ValueSums]
    pairs: Sequence[Sequence[PairSums]]
    logits: NDArray[np.float32]
    changed_logits: NDArray[np.float32] | None
    quantized_logits: Sequence[NDArray[np.float64]]
    scores: Sequence[NDArray]
    powers: NDArray[np.float64]
    digests: Sequence[bytes]


def measure(
    reference: Callable[[NDArray[np.float32]], Fp32],
    trials: Sequence[Trial],
    logits_row: int,
    chunks: Iterable[Chunk],
    workers: Workers,
    config: HistogramConfig,
) -> Measured:
    """Runs every chunk through all networks and compares all layers.

    Args:
        reference: gives the fp32 values for a chunk of images.
        trials: at least one; of the same rows.
        logits_row: position of the row whose quantized output are the logits.
        chunks: as `datasets.chunks` yields them; all of one size, which `workers.parts` divides.
        workers: what runs interpreters and comparisons.
        config: bins and epsilon of the histograms.

    Raises:
        OverflowedError: values of a row are NaN or infinite; the first such row is named.
    """
    comparison = _Comparison(trials, logits_row, workers, config)
    for images, indices, digests in chunks:
        comparison.add(reference(images), comparison.run(images), indices)
        comparison.add_images(images[: len(indices)], digests)
    return comparison.measured()


class _Comparison:
    """The running state of `measure`."""

    def __init__(
        self, trials: Sequence[Trial], logits_row: int, workers: Workers, config: HistogramConfig
    ) -> None:
        self._trials, self._logits_row, self._workers = trials, logits_row, workers
        rows = trials[0].deployed.rows
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
        self._powers: list[NDArray] = []
        self._scored: list[NDArray[np.int64]] = []
        self._logits: list[NDArray] = []
        self._changed_logits: list[NDArray] = []
        self._quantized_logits: list[list[NDArray]] = [[] for _ in trials]
        self._scores: list[list[NDArray]] = [[] for _ in trials]
        self._networks: list[list[Run]] = []

    def run(self, images: NDArray[np.float32]) -> list[list[list[NDArray]]]:
        """What every trial's interpreters hold after a chunk: by trial, part and row."""
        parts = np.split(images, self._workers.parts)
        if not self._networks:
            size = len(parts[0])
            self._networks = [[t.deployed.runner(size) for _ in parts] for t in self._trials]
        submit = self._workers.executor.submit
        jobs = [
            [submit(network, part) for network, part in zip(networks, parts, strict=True)]
            for networks in self._networks
        ]
        return [[job.result() for job in row] for row in jobs]

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
        self._logits.append(_flat(fp32.logits[:valid]).copy())
        if fp32.changed_logits is not None:
            self._changed_logits.append(_flat(fp32.changed_logits[:valid]).copy())
        for trial, parts in enumerate(codes):
            grid = self.pairs[trial][self._logits_row].params
            for part, cut in enumerate(cuts):
                count = cut.stop - cut.start
                logits = _real(parts[part][self._logits_row][:count], grid)
                self._quantized_logits[trial].append(logits)
                self._scores[trial].append(_flat(parts[part][-1][:count]).copy())
        rows.clear()
        codes.clear()

    def add_images(self, images: NDArray[np.float32], digests: Sequence[bytes]) -> None:
        """Takes in the images themselves."""
        powers = np.empty(len(images))
        loops.mean_squares(_flat(images), powers)
        self._powers.append(powers)
        self._digests += digests

    def measured(self) -> Measured:
        """What was taken in so far."""
        return Measured(
            trials=self._trials,
            scored=np.concatenate(self._scored),
            values=self.values,
            pairs=self.pairs,
            logits=np.concatenate(self._logits),
            changed_logits=np.concatenate(self._changed_logits) if self._changed_logits else None,
            quantized_logits=[np.concatenate(chunks) for chunks in self._quantized_logits],
            scores=[np.concatenate(chunks) for chunks in self._scores],
            powers=np.concatenate(self._powers),
            digests=self._digests,
        )


def _flat(array: NDArray) -> NDArray:
    return array.reshape(len(array), -1)


def _real(codes: NDArray, params: QuantParams | None) -> NDArray[np.float64]:
    flat = _flat(codes)
    return flat.astype(np.float64) if params is None else dequantize(flat, params)
