"""Dead channels: a batch norm whose moving variance is next to nothing makes a kernel explode.

A depthwise channel that is always zero in training has a moving variance of zero. Folding divides
its kernel by sqrt(0 + epsilon), so its weights span the whole tensor's range, and every other
channel is left with a few codes (Sheng et al. 2018, slides 8-11). The channel's output is a
constant: its kernel goes to zero and its bias keeps the constant, which is beta, the mean of a
batch norm's output.

A network without batch norms (a .tflite file, where they are folded for good) has no variances.
There a channel is dead if the calibration images show it: before its activation it gives them all,
at all places, one value. It becomes that value.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.folding import SHARE_OF_EPSILON, Folded
from tfqdyn.network.graph import Node
from tfqdyn.remedies import guard
from tfqdyn.remedies.images import CalibrationImages
from tfqdyn.remedies.record import Change, Remedied

SHARE_OF_RANGE = 1e-4
"""Up to this share of the largest range of its layer a channel's range counts as none: rounding a
constant in fp32 stays below."""
_SIGN = (
    "The network has no batch-norm statistics; dead channels are those that give all calibration "
    "images one value"
)
_NONE = (np.array([], np.int64), np.array([]))


def zero_variance(
    folded: Folded,
    images: CalibrationImages,
    share_of_epsilon: float = SHARE_OF_EPSILON,
    tolerance: float | None = None,
) -> Remedied:
    """Makes every dead channel the constant that it is.

    Args:
        folded: a network with batch norms folded in.
        images: those on which the change of the fp32 outputs is measured; and, in a network without
            batch norms, by which dead channels are found.
        share_of_epsilon: channels of a variance below this share of epsilon are dead.
        tolerance: largest QKL-Div of the fp32 outputs, in nats.

    Raises:
        RemedyError: the fp32 outputs change by more than `tolerance`.
    """
    nodes, changes, batch_norms = [], [], dict(folded.batch_norms)
    seen = {} if batch_norms else _constants(folded, images)
    quantized = {name: dict(weights) for name, weights in folded.quantized.items()}
    for node in folded.graph:
        norm = folded.batch_norms.get(node.name)
        dead, values = seen.get(node.name, _NONE)
        if norm is not None:
            near_zero = (norm.variance < share_of_epsilon * norm.epsilon) & (norm.gamma != 0)
            dead, values = np.flatnonzero(near_zero), norm.beta
        if dead.size:
            ranges = np.abs(node.kernel).max(axis=(0, 1, 2))
            changes += [
                Change(node.name, int(c), "largest weight", float(ranges[c]), 0.0) for c in dead
            ]
            node = _constant(node, dead, values)
            if norm is not None:
                gamma = norm.gamma.copy()
                gamma[dead] = 0.0
                batch_norms[node.name] = replace(norm, gamma=gamma)
            if node.name in quantized:
                given = replace(node, weights={**node.weights, **quantized[node.name]})
                quantized[node.name] = dict(_constant(given, dead, values).weights)
        nodes.append(node)
    if not changes:
        what = "No batch norm has a dead channel." if folded.batch_norms else f"{_SIGN}: none do."
        return Remedied(folded, "zero_variance", (), notes=(what,))
    graph = replace(folded.graph, nodes=tuple(nodes))
    measured = images.fp32_change(folded.graph, graph)
    cause = f"{len(changes)} channels with near-zero variance are not constant on these images"
    notes = () if folded.batch_norms else (f"{_SIGN}: {len(changes)} do.",)
    guard.check(measured, "zero_variance", cause, tolerance)
    cured = replace(folded, graph=graph, batch_norms=batch_norms, quantized=quantized)
    return Remedied(cured, "zero_variance", tuple(changes), measured, notes)


def _constants(
    folded: Folded, images: CalibrationImages
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """For every layer the channels that give all images one value, and every channel's mean.

    Channels whose kernel is zero are left out: they are constants already.
    """
    nodes = [n for n in folded.graph if n.traits.remedied and not n.shared]
    names = [node.name for node in nodes]
    sums: dict[str, list[NDArray]] = {}
    for values in images.activations(folded.graph, names):
        for name, value in zip(names, values, strict=True):
            flat = value.reshape(-1, value.shape[-1]).astype(np.float64)
            count = np.array(len(flat), np.float64)
            found = [flat.min(axis=0), flat.max(axis=0), flat.sum(axis=0), count]
            low, high, total, seen = sums.setdefault(name, found)
            if found[0] is not low:
                sums[name] = [
                    np.minimum(low, found[0]), np.maximum(high, found[1]), total + found[2],
                    seen + count,
                ]  # fmt: skip
    constants = {}
    for node in nodes:
        low, high, total, seen = sums[node.name]
        ranges, weights = high - low, np.abs(node.kernel).max(axis=(0, 1, 2))
        same = (ranges <= SHARE_OF_RANGE * ranges.max()) & (weights > 0)
        constants[node.name] = np.flatnonzero(same), total / seen
    return constants


def _constant(node: Node, channels: np.ndarray, values: np.ndarray) -> Node:
    """The layer with some output channels made constant."""
    kernel, bias = node.kernel.copy(), node.weights["bias"].copy()
    kernel[..., channels] = 0.0
    bias[channels] = values[channels]
    return replace(node, weights={**node.weights, "bias": bias}).with_kernel(kernel)
