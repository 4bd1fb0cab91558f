"""Batch-norm folding: the affine map of a batch norm goes into the layer before it.

    w_fold = w * gamma / sqrt(variance + epsilon)
    b_fold = beta + (b - mean) * gamma / sqrt(variance + epsilon)

(Yun & Wong Eq. 1; the bias follows by linearity.) A batch norm that follows no linear layer, or a
layer that something else reads or that is called more than once, stays an affine op.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.graph import Graph, Node
from tfqdyn.network.trace import UnsupportedModelError
from tfqdyn.numerics.layouts import LAYOUTS

ORIGINAL = "original"
"""A row is held against the network that the user gave."""
REMEDIED = "remedied"
"""A row is held against the fp32 form of the remedied network."""
SHARE_OF_EPSILON = 0.1
"""A variance counts as zero below this share of the batch norm's epsilon: there epsilon alone, not
the data, decides how large the folded weights become."""


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """Statistics and parameters of one batch norm, arrays [C] in float64."""

    name: str
    gamma: NDArray[np.float64]
    beta: NDArray[np.float64]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    epsilon: float

    @property
    def scale(self) -> NDArray[np.float64]:
        """gamma / sqrt(variance + epsilon), [C]: alpha of Sheng et al., slide 11."""
        return self.gamma / np.sqrt(self.variance + self.epsilon)

    @property
    def offset(self) -> NDArray[np.float64]:
        """beta - mean * scale, [C]."""
        return self.beta - self.mean * self.scale


@dataclass(frozen=True, eq=False)
class Folded:
    """A graph without batch norms, and what was folded into which layer.

    Attributes:
        graph: the folded network, as remedies or training left it.
        reference: the folded network that the user gave: what figures hold every network against
            that remedies or training make of it. The graph itself where its fp32 function is still
            the one given.
        kernels: for every layer with a kernel the kernel before folding.
        batch_norms: for every layer that took one in, its batch norm.
        affine: batch norms that stayed affine ops, with the reason.
        quantized: weights by layer and role that take the graph's place in the quantized network
            only (a remedy's corrected biases or chosen codes); the fp32 function stays.
        float_layers: rows that a remedy leaves in fp32.
        ranges: (minimum, maximum) of rows whose range training learned; the rest is calibrated.
        rescaled: nodes of the graph whose values a remedy put on another scale, so that they can be
            held against its own fp32 values alone.
    """

    graph: Graph
    reference: Graph
    kernels: Mapping[str, NDArray]
    batch_norms: Mapping[str, BatchNorm]
    affine: Mapping[str, str]
    quantized: Mapping[str, Mapping[str, NDArray]] = field(default_factory=dict)
    float_layers: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    rescaled: frozenset[str] = frozenset()

    @cached_property
    def held_against(self) -> Mapping[str, str]:
        """Whose fp32 values every row is held against, `ORIGINAL` or `REMEDIED`, by name.

        The remedied network's are those of rows that a remedy put on another scale, or added.
        """
        given = {row.name for row in self.reference.rows} - self.rescaled
        return {row.name: ORIGINAL if row.name in given else REMEDIED for row in self.graph.rows}

    @cached_property
    def deployed(self) -> Graph:
        """The network that gets quantized: the graph with the weights of `quantized`."""
        nodes = tuple(
            replace(node, weights={**node.weights, **self.quantized.get(node.name, {})})
            for node in self.graph
        )
        return replace(self.graph, nodes=nodes)


def fold_weights(
    kernel: NDArray, bias: NDArray, batch_norm: BatchNorm, op: str = "conv"
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel and bias [C] of one layer with the batch norm that follows it (Yun & Wong Eq. 1).

    Args:
        kernel: in the layout of `op`, see `numerics.layouts`.
        bias: [C].
        batch_norm: over the layer's C output channels.
        op: of the layer.

    Returns:
        The folded kernel and bias, float32, computed in float64.
    """
    scale, layout = batch_norm.scale, LAYOUTS[op]
    folded = layout.restored(layout.common(kernel.astype(np.float64)) * scale, kernel.shape)
    shifted = batch_norm.offset + bias.astype(np.float64) * scale
    return folded.astype(np.float32), shifted.astype(np.float32)


def fold_batchnorm(graph: Graph) -> Folded:
    """Folds every batch norm that can be; the graph's function is unchanged up to rounding.

    Raises:
        ValueError: a folded weight is NaN or infinite.
        UnsupportedModelError: no layer computes anything.
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):  # told here, with the layer
        folded = _folded(graph)
    if folded.graph.non_finite:
        raise ValueError(
            "folding batch norms makes weights NaN or infinite in: "
            f"{', '.join(folded.graph.non_finite)}; check gammas and variances (above -epsilon)"
        )
    if not folded.graph.rows:
        raise UnsupportedModelError(
            "the model has no layer that computes: it only passes its images on"
        )
    return folded


def _folded(graph: Graph) -> Folded:
    nodes: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    batch_norms: dict[str, BatchNorm] = {}
    affine: dict[str, str] = {}
    for node in graph:
        node = replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs))
        if node.op != "batch_norm":
            nodes[node.name] = node
            continue
        batch_norm = _batch_norm(node)
        target = nodes[node.inputs[0]]
        obstacle = _obstacle(graph, node, target, set(batch_norms))
        if obstacle:
            affine[node.name] = obstacle
            weights = {"kernel": batch_norm.scale, "bias": batch_norm.offset}
            weights = {role: array.astype(np.float32) for role, array in weights.items()}
            nodes[node.name] = replace(node, op="affine", config={}, weights=weights)
            continue
        kernel, bias = fold_weights(
            target.weights["kernel"], target.weights["bias"], batch_norm, target.op
        )
        nodes[target.name] = replace(target, weights={"kernel": kernel, "bias": bias})
        batch_norms[target.name] = batch_norm
        renamed[node.name] = target.name
    kernels = {n.name: n.weights["kernel"] for n in graph if n.traits.numbered}
    outputs = tuple(renamed.get(name, name) for name in graph.outputs)
    folded = replace(graph, nodes=tuple(nodes.values()), outputs=outputs)
    return Folded(folded, folded, kernels, batch_norms, affine)


def _batch_norm(node: Node) -> BatchNorm:
    w = {role: array.astype(np.float64) for role, array in node.weights.items()}
    return BatchNorm(
        node.name, w["gamma"], w["beta"], w["mean"], w["variance"], node.config["epsilon"]
    )


def _obstacle(graph: Graph, node: Node, target: Node, taken: set[str]) -> str | None:
    """Why a batch norm cannot go into the node that it reads; None if it can."""
    if not target.traits.numbered:
        return f"follows {target.op} {target.name!r}, which is not a linear layer"
    if target.shared or node.shared:
        return f"{target.name!r} or the batch norm itself is called more than once"
    if target.name in graph.outputs:
        return f"the model returns {target.name!r} itself too"
    if target.name in taken:
        return f"{target.name!r} already took in another batch norm"
    if len(graph.readers[node.inputs[0]]) > 1 and target.name == node.inputs[0]:
        return f"{target.name!r} is read by another layer too"
    return None
