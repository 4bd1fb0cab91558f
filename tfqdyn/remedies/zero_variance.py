"""Dead channels: a batch norm whose moving variance is next to nothing makes a kernel explode.

A depthwise channel that is always zero in training has a moving variance of zero. Folding divides
its kernel by sqrt(0 + epsilon), so its weights span the whole tensor's range, and every other
channel is left with a few codes (Sheng et al. 2018, slides 8-11). The channel's output is a
constant: its kernel goes to zero and its bias keeps the constant, which is beta, the mean of a
batch norm's output.
"""

from dataclasses import replace

import numpy as np

from tfqdyn.network.folding import SHARE_OF_EPSILON, Folded
from tfqdyn.network.graph import Node
from tfqdyn.remedies import guard
from tfqdyn.remedies.images import CalibrationImages
from tfqdyn.remedies.record import Change, Remedied


def zero_variance(
    folded: Folded,
    images: CalibrationImages,
    share_of_epsilon: float = SHARE_OF_EPSILON,
    tolerance: float = guard.TOLERANCE,
) -> Remedied:
    """Makes every dead channel the constant that it is.

    Args:
        folded: a network with batch norms folded in.
        images: those on which the change of the fp32 outputs is measured.
        share_of_epsilon: channels of a variance below this share of epsilon are dead.
        tolerance: largest QKL-Div of the fp32 outputs, in nats.

    Raises:
        RemedyError: the fp32 outputs change by more than `tolerance`.
    """
    nodes, changes, batch_norms = [], [], dict(folded.batch_norms)
    quantized = {name: dict(weights) for name, weights in folded.quantized.items()}
    for node in folded.graph:
        norm = folded.batch_norms.get(node.name)
        dead = np.array([]) if norm is None else np.flatnonzero(
            (norm.variance < share_of_epsilon * norm.epsilon) & (norm.gamma != 0)
        )  # fmt: skip
        if norm is not None and dead.size:
            ranges = np.abs(node.kernel).max(axis=(0, 1, 2))
            changes += [
                Change(node.name, int(c), "largest weight", float(ranges[c]), 0.0) for c in dead
            ]
            node = _constant(node, dead, norm.beta)
            gamma = norm.gamma.copy()
            gamma[dead] = 0.0
            batch_norms[node.name] = replace(norm, gamma=gamma)
            if node.name in quantized:
                given = replace(node, weights={**node.weights, **quantized[node.name]})
                quantized[node.name] = dict(_constant(given, dead, norm.beta).weights)
        nodes.append(node)
    if not changes:
        return Remedied(folded, "zero_variance", (), notes=("No batch norm has a dead channel.",))
    graph = replace(folded.graph, nodes=tuple(nodes))
    measured = images.fp32_change(folded.graph, graph)
    cause = f"{len(changes)} channels with near-zero variance are not constant on these images"
    guard.check(measured, "zero_variance", cause, tolerance)
    cured = replace(folded, graph=graph, batch_norms=batch_norms, quantized=quantized)
    return Remedied(cured, "zero_variance", tuple(changes), measured)


def _constant(node: Node, channels: np.ndarray, values: np.ndarray) -> Node:
    """The layer with some output channels made constant."""
    kernel, bias = node.kernel.copy(), node.weights["bias"].copy()
    kernel[..., channels] = 0.0
    bias[channels] = values[channels]
    return replace(node, weights={**node.weights, "bias": bias}).with_kernel(kernel)
