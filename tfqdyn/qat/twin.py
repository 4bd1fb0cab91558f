"""Networks for quantization-aware training, in tf_keras, rounded by tfmot.

tensorflow-model-optimization works on tf_keras models alone, so a Keras 3 model gets a twin of the
same layers and weights, made from its `Graph`. Two forms:

    int8    tfmot's default 8-bit scheme on the twin: symmetric kernels, per channel where TFLite
            has that; batch norms stay until TensorFlow's converter folds them
    uint8   tfmot's wrapper with our own `QuantizeConfig` on the batch-norm-folded network: kernels
            by the whole tensor's raw extrema, outputs by moving ranges, all asymmetric, rounded
            where `fakequant` rounds. Pools round only with what reads them.


"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfqdyn.network.graph import Graph, Node
from tfqdyn.network.rebuild import WEIGHTS, to_keras
from tfqdyn.numerics.grid import dequantize, from_range, quantize
from tfqdyn.qat.rounding import (
    AsymmetricConfig,
    FixedRange,
    MovingRange,
    quantization,
    tf_keras,
)
from tfqdyn.quantization.fakequant import (
    kernel_of,
    kernel_params,
    on_grid,
)


class UntrainableError(ValueError):
    """tfmot's default scheme does not know a layer."""


def twin(graph: Graph, outputs: list[str] | None = None) -> Any:
    """The tf_keras model of a graph, folded or not; shared layers become one layer per call."""
    return to_keras(graph, outputs, tf_keras)


def int8_network(graph: Graph) -> Any:
    """The twin under tfmot's default 8-bit scheme; its output is the network's.

    Args:
        graph: the network before folding; tfmot wants to see its batch norms.

    Raises:
        UntrainableError: layers that the scheme does not cover, by name.
    """
    model = twin(graph)
    registry = quantization.default_8bit.Default8BitQuantizeScheme().get_quantize_registry()
    special = (tf_keras.layers.BatchNormalization, tf_keras.layers.InputLayer)
    unknown = [
        f"{layer.name} ({type(layer).__name__})"
        for layer in model.layers
        if not isinstance(layer, special) and not registry.supports(layer)
    ]
    if unknown:
        raise UntrainableError(
            "tfmot's default scheme does not cover " + ", ".join(unknown) + "; --scheme=uint8 does"
        )
    return quantization.quantize_model(model)


@dataclass(frozen=True, eq=False)
class Uint8Network:
    """A folded network that rounds as the uint8 file will.

    Attributes:
        graph: the network as it was.
        model: images [N, H, W, C] -> the values of the chosen nodes, a list.
        weights: tf variables by node and role.
        ranges: (low, high) tf variables of the moving ranges, by row.
    """

    graph: Graph
    model: Any
    weights: Mapping[str, Mapping[str, tf.Variable]]
    ranges: Mapping[str, tuple[tf.Variable, tf.Variable]]

    def trained_graph(self) -> Graph:
        """The graph with the weights of now."""
        nodes = tuple(
            replace(node, weights={**node.weights, **_arrays(self.weights.get(node.name, {}))})
            for node in self.graph
        )
        return replace(self.graph, nodes=nodes)

    def learned_ranges(self) -> dict[str, tuple[float, float]]:
        """The moving ranges of now, by row."""
        return {name: (float(low), float(high)) for name, (low, high) in self.ranges.items()}


def _arrays(weights: Mapping[str, tf.Variable]) -> dict[str, NDArray]:
    return {role: variable.numpy() for role, variable in weights.items()}


def uint8_network(
    graph: Graph,
    ranges: Mapping[str, tuple[float, float]],
    outputs: list[str],
    decay: float = 0.99,
    share: float = 0.0,
) -> Uint8Network:
    """The folded network with per-tensor asymmetric 8-bit rounding everywhere.

    Args:
        graph: a folded graph.
        ranges: calibrated (minimum, maximum) of the input and of every row, to begin with; the
            input's stays.
        outputs: nodes whose values the model returns.
        decay: how much of a moving range a training batch leaves, in [0, 1).
        share: share of a batch's images whose extrema are dropped at each end, as
            `calibration.percentile_of_runs` does; 0 for the batch's extrema (Jacob et al.).
    """
    ends = {row.output: row.name for row in graph.rows}
    weights: dict[str, dict[str, tf.Variable]] = {}
    moving: dict[str, MovingRange] = {}

    def wrap(node: Node, layer: Any) -> Any:
        if node.op == "input":
            scale, zero_point, _, top = from_range(*ranges[node.name]).grid
            return lambda images: on_grid(images, scale, int(zero_point), int(top))
        if not isinstance(layer, tf_keras.layers.Layer):
            return layer
        if node.op in WEIGHTS:
            weights[node.name] = dict(zip(WEIGHTS[node.op], layer.weights, strict=True))
        rounding: Any = None
        if node.name in ends and not node.traits.inherits:
            if node.traits.fixed_range:
                rounding = FixedRange(*node.traits.fixed_range)
            else:
                row = ends[node.name]
                rounding = moving[row] = MovingRange(*ranges[row], decay, share)
        kernel = weights[node.name]["kernel"] if node.traits.numbered else None
        if rounding is None and kernel is None:
            return layer
        return quantization.QuantizeWrapperV2(layer, AsymmetricConfig(kernel, rounding))

    rounded = tuple(_rounded_affine(node) for node in graph)
    model = to_keras(replace(graph, nodes=rounded), outputs, tf_keras, wrap)
    found = {row: (rule.low, rule.high) for row, rule in moving.items()}
    return Uint8Network(graph, model, weights, found)


def _rounded_affine(node: Node) -> Node:
    """An affine op, which is not trained, with its scale on the grid that it will have."""
    if node.op != "affine":
        return node
    params = kernel_params(node)
    scale = dequantize(quantize(kernel_of(node), params), params).astype(np.float32)
    return replace(node, weights={**node.weights, "kernel": scale})
