"""Mixed precision: the few layers that cost most stay in fp32, inside the same file.

Which ones is measured, not guessed: every layer with a kernel is left in fp32 alone and the true
8-bit network's distance from fp32 is taken (the sweep; output QKL-Div of classifiers, see
`judging`); then layers are added one by one, the best of
those that the sweep put first (greedy), until another one gains too little. Outputs are held
against those of the network that the user gave. No labels are used.
"""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.measurement.outputs import real
from tfqdyn.measurement.tasks import scores_of
from tfqdyn.network.folding import Folded
from tfqdyn.numerics.grid import QuantParams
from tfqdyn.quantization.conversion import to_tflite
from tfqdyn.remedies.images import CalibrationImages, Ranges
from tfqdyn.remedies.judging import Answers, distance, yardstick_of
from tfqdyn.remedies.record import Change, Remedied
from tfqdyn.tflite.running import TfliteTensors

MOST_LAYERS = 3
TRIED = 4
"""How many of the sweep's best layers each round of the greedy search tries."""
LEAST_GAIN = 0.05
"""Share of the outputs' distance that another fp32 layer must take away."""


@dataclass(frozen=True)
class Sensitivity:
    """Distance from fp32 of the quantized network with one layer left in fp32."""

    layer: str
    distance: float


def mixed_precision(
    folded: Folded, images: CalibrationImages, most_layers: int = MOST_LAYERS
) -> Remedied:
    """Leaves up to `most_layers` layers in fp32.

    Args:
        folded: a folded network.
        images: those on which outputs are compared.
        most_layers: in fp32, at most.

    Raises:
        ValueError: most_layers < 1.
    """
    if most_layers < 1:
        raise ValueError(f"most_layers must be at least 1, received {most_layers}")
    ranges, reference = images.ranges(folded), images.answers(folded.reference)
    yardstick = yardstick_of(folded.graph, images.config.task)

    def with_floats(float_layers: Sequence[str]) -> float:
        return output_distance(folded, ranges, images, reference, float_layers)

    before = with_floats(folded.float_layers)
    swept = sweep(folded, images, with_floats)
    order = [s.layer for s in sorted(swept, key=lambda s: s.distance)]
    chosen, now = list(folded.float_layers), before
    measured: dict[tuple[str, ...], float] = {(*chosen, s.layer): s.distance for s in swept}
    changes: list[Change] = []
    for _ in range(most_layers):
        tried = {}
        for layer in [name for name in order if name not in chosen][:TRIED]:
            key = (*chosen, layer)
            if key not in measured:
                measured[key] = with_floats(key)
            tried[layer] = measured[key]
        best = min(tried, key=lambda layer: tried[layer], default=None)
        if best is None or not tried[best] <= (1.0 - LEAST_GAIN) * now:
            break
        changes.append(Change(best, None, f"{yardstick.name} with it in fp32", now, tried[best]))
        chosen.append(best)
        now = tried[best]
    told = {f"{yardstick.key}_before": before, f"{yardstick.key}_after": now}
    told |= {f"alone.{s.layer}": s.distance for s in swept}
    cured = replace(folded, float_layers=tuple(chosen))
    return Remedied(cured, "mixed_precision", tuple(changes), told)


def sweep(
    folded: Folded, images: CalibrationImages, with_floats: Callable[[Sequence[str]], float]
) -> tuple[Sensitivity, ...]:
    """Every quantized layer with a kernel left in fp32 alone, in graph order.

    Args:
        folded: a folded network.
        images: its progress bar.
        with_floats: the outputs' distance from fp32 with these layers in fp32.
    """
    layers = [
        row.name
        for row in folded.graph.rows
        if row.has_kernel and row.name not in folded.float_layers
    ]
    return tuple(
        Sensitivity(layer, with_floats((*folded.float_layers, layer)))
        for layer in images.progress(layers, "leave in fp32", len(layers))
    )


def output_distance(
    folded: Folded,
    ranges: Ranges,
    shown: CalibrationImages,
    reference: Answers,
    float_layers: Collection[str],
) -> float:
    """How far the true 8-bit network's outputs are from fp32 answers, see `judging`.

    Args: as for `quantized_answers`.
    """
    answers = quantized_answers(folded, ranges, shown, float_layers)
    yardstick = yardstick_of(folded.graph, shown.config.task)
    return distance(yardstick, reference, answers)


def quantized_answers(
    folded: Folded, ranges: Ranges, shown: CalibrationImages, float_layers: Collection[str]
) -> list[NDArray[np.float64]]:
    """The true 8-bit network's answers, dequantized: for every one an array [N, K].

    Args:
        folded: a folded network.
        ranges: of the inputs and of every row, as `CalibrationImages.ranges` gives them.
        shown: the images.
        float_layers: rows that stay in fp32.

    Returns:
        Logits of a classifier, all outputs of any other network, as `CalibrationImages.answers`.
    """
    converted = to_tflite(folded.deployed, ranges, float_layers, shown.config.scheme)
    scores = scores_of(folded.graph, shown.config.task)
    rows = [pair.row.name for pair in converted.pairs]
    places = [len(rows) + place for place in range(len(converted.outputs))]
    grids: Sequence[QuantParams | None] = converted.output_grids
    if scores is not None and scores.logits is not None:
        places = [rows.index(scores.logits)]
        grids = [converted.pairs[places[0]].params]
    threads = shown.config.threads
    networks = [TfliteTensors(converted, 1) for _ in range(threads)]

    def run(network: TfliteTensors, part: Any) -> list[list[NDArray[np.float64]]]:
        found = []
        for image in range(len(part)):
            held = network(part[image : image + 1])
            stored = [held[place].reshape(1, -1) for place in places]
            del held
            found.append([real(codes, grid) for codes, grid in zip(stored, grids, strict=True)])
            del stored
        return found

    answers: list[list[NDArray[np.float64]]] = []
    with ThreadPoolExecutor(threads) as executor:
        for chunk in shown.chunks(folded.graph):
            ends = np.linspace(0, len(chunk), threads + 1).astype(int)
            parts = [chunk[first:last] for first, last in pairwise(ends)]
            for found in executor.map(run, networks, parts):
                answers += found
    return [np.concatenate(values) for values in zip(*answers, strict=True)]
