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

from tfqdyn.affine import QuantParams, dequantize
from tfqdyn.calibration import SiteRange
from tfqdyn.capture import TfliteTensors
from tfqdyn.conversion import Converted
from tfqdyn.layerstats import HistogramConfig, PairSums, ValueSums

Activations = Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]


@dataclass(frozen=True, eq=False)
class Trial:
    """One calibration draw: the ranges of every site, and the model converted with them."""

    sites: Sequence[SiteRange]
    converted: Converted


@dataclass(frozen=True, eq=False)
class Measured:
    """What the pass came to.

    Attributes:
        values: for every row the description of its fp32 activations.
        pairs: for every trial and row the comparison.
        logits: fp32 logits [N, K], float32.
        quantized_logits: for every trial the dequantized logits [N, K].
        scores: for every trial the deployed model's output codes [N, K].
        digests: SHA-256 of every image.
    """

    values: Sequence[ValueSums]
    pairs: Sequence[Sequence[PairSums]]
    logits: NDArray[np.float32]
    quantized_logits: Sequence[NDArray[np.float64]]
    scores: Sequence[NDArray]
    digests: Sequence[bytes]


def measure(
    activations: Activations,
    trials: Sequence[Trial],
    logits_row: int,
    chunks: Iterable[tuple[NDArray[np.float32], NDArray[np.int64], list[bytes]]],
    executor: Executor,
    parts: int,
    config: HistogramConfig,
) -> Measured:
    """Runs every chunk through all networks and compares all layers.

    Args:
        activations: gives the fp32 output of every row for a chunk of images.
        trials: at least one; their pairs list the same rows.
        logits_row: position of the row whose output are the logits.
        chunks: as `datasets.chunks` yields them; all of one size, which `parts` divides.
        executor: runs interpreters and comparisons.
        parts: into how many parts a chunk is cut.
        config: bins and epsilon of the histograms.
    """
    rows = [pair.row for pair in trials[0].converted.pairs]
    values = [ValueSums() for _ in rows]
    sums = [
        [
            PairSums(site, pair.params, pair.row.output_shape[-1], config)
            for site, pair in zip(trial.sites, trial.converted.pairs, strict=True)
        ]
        for trial in trials
    ]
    logits: list[NDArray] = []
    quantized_logits: list[list[NDArray]] = [[] for _ in trials]
    scores: list[list[NDArray]] = [[] for _ in trials]
    digests: list[bytes] = []
    networks: list[list[TfliteTensors]] = []
    for images, indices, image_digests in chunks:
        size = len(images) // parts
        if not networks:
            networks = [[TfliteTensors(t.converted, size) for _ in range(parts)] for t in trials]
        valid = len(indices)
        used = range(-(-valid // size))
        cuts = [slice(p * size, min((p + 1) * size, valid)) for p in used]
        fp32 = activations(images)
        jobs = [
            [executor.submit(networks[t][p], images[p * size : (p + 1) * size]) for p in used]
            for t in range(len(trials))
        ]
        captured = [[job.result() for job in row] for row in jobs]

        def add(layer: int) -> None:
            for t in range(len(trials)):
                for p, cut in enumerate(cuts):
                    q = captured[t][p][layer][: cut.stop - cut.start]
                    x = fp32[layer][cut]
                    sums[t][layer].add(x, q, values[layer] if t == 0 else None)

        largest_first = sorted(range(len(rows)), key=lambda layer: -fp32[layer].size)
        list(executor.map(add, largest_first))
        logits.append(_flat(fp32[logits_row][:valid]).copy())
        for t, trial in enumerate(trials):
            params = trial.converted.pairs[logits_row].params
            for p, cut in enumerate(cuts):
                n = cut.stop - cut.start
                quantized_logits[t].append(_real(captured[t][p][logits_row][:n], params))
                scores[t].append(_flat(captured[t][p][-1][:n]).copy())
        digests += image_digests
        del captured, jobs, add  # interpreters refuse to run while views into them live
    return Measured(
        values=values,
        pairs=sums,
        logits=np.concatenate(logits),
        quantized_logits=[np.concatenate(parts_) for parts_ in quantized_logits],
        scores=[np.concatenate(parts_) for parts_ in scores],
        digests=digests,
    )


def _flat(array: NDArray) -> NDArray:
    return array.reshape(len(array), -1)


def _real(codes: NDArray, params: QuantParams | None) -> NDArray[np.float64]:
    flat = _flat(codes)
    return flat.astype(np.float64) if params is None else dequantize(flat, params)
