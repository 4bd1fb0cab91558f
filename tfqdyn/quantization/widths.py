"""How many bits weights and activations take in a simulation, and what that costs.

Mixed widths (Yun's thesis, section 6.2.5: "layers with greater depth factorization can be allocated
a greater number of bits as their computational cost is lower"): a layer of factorization rate f,
1 for a regular and C for a depthwise convolution of C channels (thesis Eq. 5.1), gains

    round(extra * log f / log C)

bits, for its kernel and its output. `mean_bits` says what that costs.
"""

import math

import numpy as np

from tfqdyn.network.graph import Graph, Node
from tfqdyn.schemes import WIDEST_BITS, BitWidths


def bits_of(node: Node, widths: BitWidths) -> tuple[int, int]:
    """Bits of a layer's kernel and of its output."""
    gained = round(widths.extra * factorization(node))
    return min(widths.weights + gained, WIDEST_BITS), min(widths.activations + gained, WIDEST_BITS)


def factorization(node: Node) -> float:
    """log f / log C of a layer with a kernel, in [0, 1]: 1 for depthwise, 0 for regular layers."""
    if node.op == "depthwise":
        return 1.0
    if node.groups == 1:
        return 0.0
    return math.log(node.groups) / math.log(node.groups * node.kernel.shape[2])


def mean_bits(graph: Graph, widths: BitWidths) -> dict[str, float]:
    """What the widths cost on average: bits a weight, and bits of weights a multiplication."""
    layers = [node for node in graph if node.traits.numbered]
    bits = np.array([bits_of(node, widths)[0] for node in layers], np.float64)
    sizes = np.array([node.weights["kernel"].size for node in layers])
    macs = np.array([node.macs for node in layers])
    return {
        "per_weight": float((bits * sizes).sum() / sizes.sum()),
        "per_mac": float((bits * macs).sum() / macs.sum()),
    }
