"""Per-channel maps that a file holds as operators, taken into what they follow.

A convolution's bias, or a batch norm, that a converter did not fold is a multiplication and an
addition behind it. They go into the kernel before them, as `network.folding` does with batch norms:

    kernel * scale,  bias * scale + offset

and into one map where there is none. The function is unchanged.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from tfqdyn.network.graph import Graph, Node


def without_maps(
    nodes: Iterable[Node], outputs: Iterable[str]
) -> tuple[tuple[Node, ...], dict[str, str]]:
    """Nodes whose maps went into what they follow, where nothing else reads that.

    Args:
        nodes: in graph order.
        outputs: names of those that are returned.

    Returns:
        The nodes, and for every name that is gone, or holds another value now, the name of the node
        that holds its value.
    """
    nodes = tuple(nodes)
    graph, ends = Graph("", nodes), set(outputs)
    kept: dict[str, Node] = {}
    now: dict[str, str] = {}
    for node in nodes:
        node = replace(node, inputs=tuple(now.get(name, name) for name in node.inputs))
        target = _target(graph, kept, node, ends, now) if node.op == "affine" else None
        if target is None:
            kept[node.name] = node
            continue
        kept[target.name] = _taken_in(target, node)
        now[node.name] = node.inputs[0]
    return tuple(kept.values()), now


def _target(
    graph: Graph, kept: dict[str, Node], node: Node, ends: set[str], now: dict[str, str]
) -> Node | None:
    """What a map can go into: a kernel or a map, across reshapes that keep the channels."""
    channels = node.output_shape[-1]
    name = node.inputs[0]
    taken_in = {gone for gone, holder in now.items() if holder == name}
    while True:
        before = kept[name]
        read = {r for own in (name, *taken_in) for r in graph.readers[own]} - taken_in
        if len(read) != 1 or {name, *taken_in} & ends or before.output_shape[-1] != channels:
            return None
        if before.op == "affine" or before.traits.numbered:
            return before
        if before.op != "reshape":
            return None
        name = before.inputs[0]
        taken_in = {gone for gone, holder in now.items() if holder == name}


def _taken_in(target: Node, node: Node) -> Node:
    """A kernel or a map, with a map behind it."""
    scale, offset = (node.weights[role].astype(np.float64) for role in ("kernel", "bias"))
    kernel = target.kernel.astype(np.float64) * scale
    bias = target.weights["bias"].astype(np.float64) * scale + offset
    moved = replace(target, weights={**target.weights, "bias": bias.astype(np.float32)})
    return moved.with_kernel(kernel)
