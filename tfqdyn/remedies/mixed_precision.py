"""Mixed precision: the few layers that cost most stay in fp32, inside the same file.

Which ones is measured, not guessed: every layer with a kernel is left in fp32 alone and the true
uint8 network's output QKL-Div is taken (the sweep); then layers are added one by one, the best of
those that the sweep put first (greedy), until another one gains too little. Outputs are held
against those of the network that the user gave. No labels are used.
"""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn.measurement.assembly import logits_row
from tfqdyn.network.folding import Folded
from tfqdyn.numerics.classification import compare_outputs, two_classes
from tfqdyn.numerics.grid import dequantize
from tfqdyn.quantization.conversion import to_tflite
from tfqdyn.remedies.images import CalibrationImages, Ranges
from tfqdyn.remedies.record import Change, Remedied
from tfqdyn.tflite.running import TfliteTensors

MOST_LAYERS = 3
TRIED = 4
"""How many of the sweep's best layers each round of the greedy search tries."""
LEAST_GAIN = 0.05
"""Share of the output QKL-Div that another fp32 layer must take away."""


@dataclass(frozen=True)
class Sensitivity:
    """Output QKL-Div of the quantized network with one layer left in fp32."""

    layer: str
    qkl_div: float


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
    ranges, reference = images.ranges(folded), images.logits(folded.reference)

    def with_floats(float_layers: Sequence[str]) -> float:
        return output_qkl(folded, ranges, images, reference, float_layers)

    before = with_floats(folded.float_layers)
    swept = sweep(folded, images, with_floats)
    order = [s.layer for s in sorted(swept, key=lambda s: s.qkl_div)]
    chosen, now = list(folded.float_layers), before
    measured: dict[tuple[str, ...], float] = {(*chosen, s.layer): s.qkl_div for s in swept}
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
        changes.append(Change(best, None, "output QKL-Div with it in fp32", now, tried[best]))
        chosen.append(best)
        now = tried[best]
    told = {"output_qkl_div_before": before, "output_qkl_div_after": now}
    told |= {f"alone.{s.layer}": s.qkl_div for s in swept}
    cured = replace(folded, float_layers=tuple(chosen))
    return Remedied(cured, "mixed_precision", tuple(changes), told)


def sweep(
    folded: Folded, images: CalibrationImages, with_floats: Callable[[Sequence[str]], float]
) -> tuple[Sensitivity, ...]:
    """Every quantized layer with a kernel left in fp32 alone, in graph order.

    Args:
        folded: a folded network.
        images: its progress bar.
        with_floats: the output QKL-Div with these layers in fp32.
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


def output_qkl(
    folded: Folded,
    ranges: Ranges,
    shown: CalibrationImages,
    reference: NDArray[np.float32],
    float_layers: Collection[str],
) -> float:
    """Output QKL-Div in nats of the true uint8 network against fp32 logits [N, K].

    Args: as for `quantized_logits`.
    """
    logits = quantized_logits(folded, ranges, shown, float_layers)
    return compare_outputs(two_classes(reference), two_classes(logits)).qkl_div


def quantized_logits(
    folded: Folded, ranges: Ranges, shown: CalibrationImages, float_layers: Collection[str]
) -> NDArray[np.float64]:
    """Dequantized logits of the true uint8 network, [N, K].

    Args:
        folded: a folded network.
        ranges: of the input and of every row, as `CalibrationImages.ranges` gives them.
        shown: the images.
        float_layers: rows that stay in fp32.
    """
    rows = folded.graph.rows
    position = logits_row(folded.graph, rows)
    converted = to_tflite(folded.deployed, ranges, float_layers)
    params = converted.pairs[position].params
    threads = shown.config.threads
    networks = [TfliteTensors(converted, 1) for _ in range(threads)]

    def run(network: TfliteTensors, part: NDArray[np.float32]) -> list[NDArray[np.float64]]:
        found = []
        for image in part:
            stored = network(image[None])[position].reshape(1, -1)
            real = stored.astype(np.float64) if params is None else dequantize(stored, params)
            found.append(real)
            del stored
        return found

    logits: list[NDArray[np.float64]] = []
    with ThreadPoolExecutor(threads) as executor:
        for chunk in shown.chunks(folded.graph):
            for found in executor.map(run, networks, np.array_split(chunk, threads)):
                logits += found
    return np.concatenate(logits)
