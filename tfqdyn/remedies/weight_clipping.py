"""Weight ranges that minimize the rounding error: a few weights cut off, the rest on a finer grid.

For every grid of a kernel (uint8: the tensor's; int8: each output channel's, symmetric) the range
[a, b] with the least sum of (w - w_q)^2, instead of the raw extrema (the MSE criterion of Nagel et
al. 2021, "A White Paper on Neural Network Quantization", Eq. 12, section 3.1). The cut kernel takes
the fp32 one's place in the quantized network only.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.folding import Folded
from tfqdyn.numerics.calibrators import LEVELS, SYMMETRIC_LEVELS, mse_range, whole_range
from tfqdyn.numerics.loops import error_of_range
from tfqdyn.remedies.images import CalibrationImages
from tfqdyn.remedies.record import Change, Remedied

LEAST_GAIN = 0.2
"""Share of the squared rounding error that a range must save: for less, cutting the largest weights
costs the output more (their error is one-sided) than the finer grid gives."""


def weight_clipping(folded: Folded, images: CalibrationImages) -> Remedied:
    """MSE-optimal weight ranges, one for each grid; looks at no images.

    Args:
        folded: a folded network.
        images: its progress bar, and the scheme, which says what has a grid.
    """
    per_channel = images.dtype == "int8"
    quantized = {name: dict(weights) for name, weights in folded.quantized.items()}
    changes: list[Change] = []
    nodes = [n for n in folded.deployed if n.traits.numbered]
    for node in images.progress(nodes, "clip weights", len(nodes)):
        if node.name in folded.float_layers:
            continue
        kernel, made = node.kernel.copy(), []
        for channel, weights in _of_grids(kernel, per_channel):
            ends = _better(weights, per_channel)
            if ends is None:
                continue
            cut = np.clip(weights, np.float32(ends[0]), np.float32(ends[1]))
            before, after = [[float(w.min()), float(w.max())] for w in (weights, cut)]
            made += [
                Change(node.name, channel, f"{which} weight", before[k], after[k])
                for k, which in enumerate(("lowest", "highest"))
            ]
            weights[...] = cut
        if made:
            cut_kernel = node.with_kernel(kernel).weights["kernel"]
            quantized.setdefault(node.name, {})["kernel"] = cut_kernel
            changes += made
    return Remedied(replace(folded, quantized=quantized), "weight_clipping", tuple(changes))


def _of_grids(kernel: NDArray, per_channel: bool) -> Iterator[tuple[int | None, NDArray]]:
    """Views of the weights [H, W, I, K] that share a grid, and their channel."""
    if not per_channel:
        yield None, kernel
        return
    for channel in range(kernel.shape[-1]):
        yield channel, kernel[..., channel]


def _better(weights: NDArray, symmetric: bool) -> tuple[float, float] | None:
    """The range that saves `LEAST_GAIN` of the rounding error of the raw extrema; None if none."""
    if not weights.any():
        return None
    values, counts = np.unique(weights.astype(np.float64), return_counts=True)
    best = mse_range(values, counts, symmetric=symmetric)
    levels = SYMMETRIC_LEVELS if symmetric else LEVELS
    raw, cut = (
        error_of_range(values, counts, low, high, levels)
        for low, high in (whole_range(values, symmetric), best)
    )
    return best if cut <= (1.0 - LEAST_GAIN) * raw else None
