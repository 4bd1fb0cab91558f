"""The mean of a layer's quantization error, taken back through its bias.

    b <- b + E[y] - E[y_q]

for every channel before activation, y in fp32 and y_q in the quantized network, layer after layer,
each reading what the corrected and quantized layers before it give (Nagel et al. 2019, "Data-Free
Quantization Through Weight Equalization and Bias Correction", section 4.2 and appendix D, Eq. 16
and 17 with measured means; W_q x instead of the expectation of the rounding error alone, so that
activation rounding and clipping before the layer count as well).
"""

from dataclasses import replace

import numpy as np

from tfqdyn.network.folding import Folded
from tfqdyn.network.graph import Node
from tfqdyn.quantization.stepwise import StepwiseNetwork, channel_means, steps_of
from tfqdyn.remedies.images import CalibrationImages
from tfqdyn.remedies.record import Change, Remedied


def bias_correction(folded: Folded, images: CalibrationImages) -> Remedied:
    """Empirical bias correction, sequential, on unlabeled images.

    Args:
        folded: a folded network; remedies that change weights come first.
        images: those whose means are matched.
    """
    wanted = images.linear_means(folded.graph)
    deployed = folded.deployed
    stepped = StepwiseNetwork(
        deployed, images.params(folded), images.chunks(folded.graph), folded.float_layers
    )
    quantized = {name: dict(weights) for name, weights in folded.quantized.items()}
    changes: list[Change] = []
    steps = steps_of(deployed)
    for step in images.progress(steps, "correct biases", len(steps)):
        node = step.node
        if node.traits.has_kernel and node.name not in folded.float_layers and not node.shared:
            found = channel_means(stepped.before_activation(node))
            node, made = shifted(node, wanted[node.name] - found)
            quantized.setdefault(node.name, {})["bias"] = node.weights["bias"]
            changes += made
        stepped.advance(step, node)
    return Remedied(
        replace(folded, quantized=quantized),
        "bias_correction",
        tuple(changes),
        {"images": len(images.indices)},
    )


def shifted(node: Node, shift: np.ndarray) -> tuple[Node, list[Change]]:
    """The layer with its bias moved by `shift` [C], and the changes."""
    before = node.weights["bias"]
    after = (before.astype(np.float64) + shift).astype(np.float32)
    changes = [
        Change(node.name, int(c), "bias", float(before[c]), float(after[c]))
        for c in np.flatnonzero(before != after)
    ]
    return replace(node, weights={**node.weights, "bias": after}), changes
