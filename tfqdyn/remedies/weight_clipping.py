"""Weight ranges that minimize the rounding error: a few weights cut off, the rest on a finer grid.

For every kernel the range [a, b] with the least sum of (w - w_q)^2, instead of its raw extrema
(the MSE criterion of Nagel et al. 2021, "A White Paper on Neural Network Quantization", Eq. 12,
section 3.1). The cut kernel takes the fp32 one's place in the quantized network only.
"""

from dataclasses import replace

import numpy as np

from tfqdyn.network.folding import Folded
from tfqdyn.numerics.calibrators import LEVELS, mse_range
from tfqdyn.numerics.loops import error_of_range
from tfqdyn.remedies.images import CalibrationImages
from tfqdyn.remedies.record import Change, Remedied

LEAST_GAIN = 0.2
"""Share of the squared rounding error that a range must save: for less, cutting the largest weights
costs the output more (their error is one-sided) than the finer grid gives."""


def weight_clipping(folded: Folded, images: CalibrationImages) -> Remedied:
    """MSE-optimal weight ranges, one a tensor; looks at no images.

    Args:
        folded: a folded network.
        images: its progress bar.
    """
    quantized = {name: dict(weights) for name, weights in folded.quantized.items()}
    changes: list[Change] = []
    nodes = [n for n in folded.deployed if n.traits.numbered]
    for node in images.progress(nodes, "clip weights", len(nodes)):
        kernel = node.weights["kernel"]
        if node.name in folded.float_layers or not kernel.any():
            continue
        values, counts = np.unique(kernel.astype(np.float64), return_counts=True)
        low, high = mse_range(values, counts)
        errors = [
            error_of_range(values, counts, *ends, LEVELS)
            for ends in ((min(values[0], 0.0), max(values[-1], 0.0)), (low, high))
        ]
        if errors[1] > (1.0 - LEAST_GAIN) * errors[0]:
            continue
        cut = np.clip(kernel, np.float32(low), np.float32(high))
        quantized.setdefault(node.name, {})["kernel"] = cut
        changes += [
            Change(node.name, None, "lowest weight", float(kernel.min()), float(cut.min())),
            Change(node.name, None, "highest weight", float(kernel.max()), float(cut.max())),
        ]
    return Remedied(replace(folded, quantized=quantized), "weight_clipping", tuple(changes))
