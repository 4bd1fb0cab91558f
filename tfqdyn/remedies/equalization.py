"""Cross-layer equalization: channels get weight ranges alike in a layer and in the one after it.

    W1_i <- W1_i / s_i,  b1_i <- b1_i / s_i,  W2_i <- W2_i * s_i,  s_i = sqrt(r1_i r2_i) / r2_i

with r1_i the range of output channel i of the first layer and r2_i that of input channel i of the
second (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction",
section 4.1, Eq. 11), repeated over all pairs until nothing moves; looks at no images. It holds for
whatever lies between and commutes with positive factors: ReLU, leaky ReLU, padding, pooling. A
ReLU6 does not commute: it becomes a ReLU with a cap of 6 / s_i for every channel, which keeps the
function exactly and costs one MINIMUM in the file; or, on request, a ReLU, which changes the
function (the change of the fp32 outputs is measured before anything else and reported).

High biases are absorbed (section 4.1.3, Eq. 14-15): c_i = max(0, beta_i - 3 gamma_i) of a ReLU's
input goes from b1 into b2, where the second layer pads nothing. That keeps the function but for
values below c_i, which are rare where the batch norm's statistics hold. Whether they do is
measured: biases stay if the fp32 outputs would change by more than `guard` tolerates.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.folding import BatchNorm, Folded
from tfqdyn.network.graph import Graph, Node
from tfqdyn.numerics.layouts import grouped, scaled_inputs
from tfqdyn.remedies import guard
from tfqdyn.remedies.images import CalibrationImages
from tfqdyn.remedies.record import Change, Remedied, RemedyError

ROUNDS = 30
SETTLED = 1e-3
"""Equalization stops once no factor of a round is farther from 1 than this."""


@dataclass(frozen=True)
class Pair:
    """Two layers, and the names of the nodes between them."""

    first: str
    second: str
    between: tuple[str, ...]


def equalization(
    folded: Folded, images: CalibrationImages, replace_relu6: bool = False
) -> Remedied:
    """Cross-layer equalization with high-bias absorption.

    Args:
        folded: a folded network, before any remedy that suits weights to codes.
        images: those on which the change of the fp32 outputs is measured.
        replace_relu6: ReLU6 becomes ReLU instead of a ReLU with a cap a channel.

    Raises:
        RemedyError: weights were suited to their codes already, or (from infinite factors) the
            fp32 outputs would change.
    """
    if folded.quantized:
        raise RemedyError(
            "equalization must come before bias_correction, weight_clipping and adaround: they "
            f"suit the weights of {len(folded.quantized)} layers to codes that it would change"
        )
    name = "equalization_relu" if replace_relu6 else "equalization"
    start, measured = folded.graph, {}
    if replace_relu6:
        start, count = without_bounds(folded.graph)
        loss = images.fp32_change(folded.graph, start)
        measured["relu6_replaced"] = float(count)
        measured |= {f"relu6_replaced_{name}": value for name, value in loss.items()}
    total = _factors_of_pairs(start)
    made, notes = _scaled(start, folded.batch_norms, total), ()
    absorbed = _absorbed(made, list(total))
    high = len(absorbed.changes) - len(made.changes)
    if high:
        change = images.fp32_change(start, _with_caps(start, absorbed.nodes, total))
        yardstick = guard.yardstick_in(change)
        measured[f"absorption_{yardstick.key}"] = change[yardstick.key]
        if guard.within(change):
            made = absorbed
        else:
            notes = (
                f"High biases of {high} channels stay where they are: absorbing them would change "
                f"the fp32 outputs by {change[yardstick.key]:.3g} {yardstick.unit}, more than "
                f"the tolerance of {yardstick.tolerance:g}.",
            )
    if not made.changes:
        return Remedied(folded, name, (), measured, (*notes, "Nothing to equalize."))
    graph = _with_caps(start, made.nodes, total)
    change = images.fp32_change(start, graph)
    guard.check(change, name, "scaled weights overflow, or lose their last digits")
    rescaled = {name for pair in total for name in (pair.first, *pair.between)}
    cured = replace(
        folded,
        graph=graph,
        batch_norms=made.batch_norms,
        rescaled=folded.rescaled | rescaled,
    )
    measured |= {"pairs": float(len(total)), **change}
    return Remedied(cured, name, made.changes, measured, notes)


def equalization_relu(folded: Folded, images: CalibrationImages) -> Remedied:
    """`equalization` with every ReLU6 replaced by ReLU."""
    return equalization(folded, images, replace_relu6=True)


def pairs_of(graph: Graph) -> Iterator[Pair]:
    """All pairs of layers with one path between them on which positive factors commute."""
    for node in graph:
        if not node.traits.remedied or node.shared:
            continue
        between: list[str] = []
        name = node.name
        while len(graph.readers[name]) == 1:
            reader = graph.by_name[graph.readers[name][0]]
            if reader.traits.remedied and not reader.shared:
                yield Pair(node.name, reader.name, tuple(between))
                break
            if not reader.traits.commutes:
                break
            name = reader.name
            between.append(name)


@dataclass(frozen=True, eq=False)
class Equalized:
    """Layers by name, what their batch norms say of their values, and the changes so far."""

    nodes: Mapping[str, Node]
    batch_norms: Mapping[str, BatchNorm]
    changes: tuple[Change, ...]


def _factors_of_pairs(graph: Graph) -> dict[Pair, NDArray[np.float64]]:
    """What every channel between the layers of a pair is divided by [C], once nothing moves."""
    nodes = dict(graph.by_name)
    total = {pair: np.ones(_channels(nodes[pair.first])) for pair in pairs_of(graph)}
    for _ in range(ROUNDS):
        largest = 0.0
        for pair in total:
            factors = _factors(nodes[pair.first], nodes[pair.second])
            _scale(nodes, pair, factors)
            total[pair] *= factors
            largest = max(largest, float(np.abs(np.log(factors)).max()))
        if largest < SETTLED:
            break
    return total


def _scaled(
    graph: Graph,
    batch_norms: Mapping[str, BatchNorm],
    factors: Mapping[Pair, NDArray[np.float64]],
) -> Equalized:
    """The layers with every pair's factors, in one step from the weights as they were."""
    nodes, norms = dict(graph.by_name), dict(batch_norms)
    changes: list[Change] = []
    for pair, s in factors.items():
        _scale(nodes, pair, s)
        norm = norms.get(pair.first)
        if norm is not None:
            norms[pair.first] = replace(norm, gamma=norm.gamma / s, beta=norm.beta / s)
        changes += [
            Change(pair.first, int(c), "factor", 1.0, float(1.0 / s[c]))
            for c in np.flatnonzero(np.abs(np.log(s)) > SETTLED)
        ]
    return Equalized(nodes, norms, tuple(changes))


def _scale(nodes: dict[str, Node], pair: Pair, factors: NDArray[np.float64]) -> None:
    nodes[pair.first] = _scaled_outputs(nodes[pair.first], 1.0 / factors)
    nodes[pair.second] = _scaled_inputs(nodes[pair.second], factors)


def _channels(node: Node) -> int:
    return len(node.weights["bias"])


def _range(array: NDArray, axes: tuple[int, ...]) -> NDArray[np.float64]:
    """Range of the weights, 0 included, as the quantizer sees it."""
    high, low = array.max(axis=axes, initial=0.0), array.min(axis=axes, initial=0.0)
    return np.asarray(high, np.float64) - np.asarray(low, np.float64)


def _factors(first: Node, second: Node) -> NDArray[np.float64]:
    """s of every channel; 1 where one of the two ranges is 0."""
    r1 = _range(first.kernel, (0, 1, 2))
    r2 = _range(grouped(second.kernel, second.groups), (1, 2, 4)).reshape(-1)
    usable = (r1 > 0) & (r2 > 0)
    return np.where(usable, np.sqrt(r1 / np.where(usable, r2, 1.0)), 1.0)


def _scaled_outputs(node: Node, factors: NDArray[np.float64]) -> Node:
    made = node.with_kernel(node.kernel * factors)
    bias = (node.weights["bias"] * factors).astype(np.float32)
    return replace(made, weights={**made.weights, "bias": bias})


def _scaled_inputs(node: Node, factors: NDArray[np.float64]) -> Node:
    return node.with_kernel(scaled_inputs(node.kernel, factors, node.groups))


def _absorbed(scaled: Equalized, pairs: Sequence[Pair]) -> Equalized:
    """Moves high biases of ReLUs' inputs into the next layers, where that is sound."""
    new, norms = dict(scaled.nodes), dict(scaled.batch_norms)
    changes = [*scaled.changes]
    for pair in pairs:
        norm = norms.get(pair.first)
        moved = np.zeros(1) if norm is None else _high_biases(new, pair, norm)
        if norm is None or not moved.any():
            continue
        first, second = new[pair.first], new[pair.second]
        kernel = grouped(second.kernel.astype(np.float64), second.groups)  # [G, H, W, I, K / G]
        of_groups = moved.reshape(second.groups, -1)
        added = np.einsum("ghwik,gi->gk", kernel, of_groups).reshape(-1)
        for node, shift in ((first, -moved), (second, added)):
            bias = (node.weights["bias"].astype(np.float64) + shift).astype(np.float32)
            new[node.name] = replace(node, weights={**node.weights, "bias": bias})
        norms[pair.first] = replace(norm, beta=norm.beta - moved)
        changes += [
            Change(pair.first, int(c), "absorbed bias", 0.0, float(moved[c]))
            for c in np.flatnonzero(moved)
        ]
    return Equalized(new, norms, tuple(changes))


def _high_biases(nodes: Mapping[str, Node], pair: Pair, norm: BatchNorm) -> NDArray[np.float64]:
    """c_i of every channel of a pair's first layer [C]; 0 where absorption is not sound."""
    between, second = [nodes[name] for name in pair.between], nodes[pair.second]
    plain = len(between) == 1 and between[0].op == "relu"
    bounded = plain and between[0].config["max_value"] is not None
    pads = second.config.get("padding") == "same" and second.kernel.shape[:2] != (1, 1)
    high = np.maximum(0.0, norm.beta - 3.0 * np.abs(norm.gamma))
    return high if plain and not bounded and not pads else np.zeros_like(high)


def without_bounds(graph: Graph) -> tuple[Graph, int]:
    """The network with ReLUs instead of bounded ones, and how many there were."""
    bounded = [n for n in graph if n.op == "relu" and n.config["max_value"] is not None]
    swapped = {n.name: replace(n, config={**n.config, "max_value": None}) for n in bounded}
    nodes = tuple(swapped.get(node.name, node) for node in graph)
    return replace(graph, nodes=nodes), len(bounded)


def _with_caps(
    graph: Graph, nodes: Mapping[str, Node], factors: Mapping[Pair, NDArray[np.float64]]
) -> Graph:
    """The equalized network: every bounded ReLU between a pair gets a cap of its own a channel."""
    scaled = {name: s for pair, s in factors.items() for name in pair.between}
    made: list[Node] = []
    renamed: dict[str, str] = {}
    for old in graph:
        node = nodes[old.name]
        node = replace(node, inputs=tuple(renamed.get(i, i) for i in node.inputs))
        s = scaled.get(node.name)
        if s is not None and node.op == "cap":
            node = replace(node, weights={"cap": (node.weights["cap"] / s).astype(np.float32)})
        bound = node.config.get("max_value") if node.op == "relu" else None
        if s is None or bound is None or np.allclose(s, 1.0, rtol=0, atol=1e-12):
            made.append(node)
            continue
        caps = (bound / s).astype(np.float32)
        highest = float(caps.max())
        made.append(replace(node, config={**node.config, "max_value": highest}))
        renamed[node.name] = f"{node.name}_cap"
        made.append(
            Node(f"{node.name}_cap", "cap", (node.name,), node.output_shape, {}, {"cap": caps})
        )
    return replace(graph, nodes=tuple(made))
