"""A network as data: canonical nodes with their weights, and the rows of the layer tables.

`lowering.lower` makes a `Graph` from a Keras model, `folding` and the remedies make a new one from
an old one, `rebuild` makes a Keras model of it and `fakequant` a TensorFlow graph. Nothing here
imports Keras.

Glossary of shapes
    H, W height and width; C channels in; K channels out; M depth multiplier; G groups.
    conv kernel [H, W, C / G, K], depthwise kernel [H, W, C, M], dense kernel [C, K],
    transposed convolution kernel [H, W, K, C], affine kernel [C]: `numerics.layouts`. Shapes of
    nodes leave out the batch axis.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.ops import OPS, Op
from tfqdyn.numerics.layouts import Layout


@dataclass(frozen=True, eq=False)
class Node:
    """One operation.

    Attributes:
        name: unique in its graph.
        op: one of `ops.OPS`; in a "cap" values above their channel's "cap" become that.
        inputs: names of the nodes it reads.
        output_shape: without the batch axis.
        config: what else defines the op (strides, padding, axis, ...).
        weights: float32 arrays by role ("kernel", "bias", "gamma", ...); an affine op's kernel
            and bias are its scale and offset [C].
        source: the Keras layer that it comes from.
        shared: whether that layer is called more than once.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    output_shape: tuple[int, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, NDArray] = field(default_factory=dict)
    source: str = ""
    shared: bool = False

    @property
    def traits(self) -> Op:
        """What its op is."""
        return OPS[self.op]

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image; 0 for what is no layer with a kernel."""
        if not self.traits.numbered:
            return 0
        height, width, inputs, channels = self.kernel.shape
        if self.op == "transposed_conv":
            return prod(self.config["input_shape"]) * height * width * channels
        return prod(self.output_shape) * height * width * inputs

    @property
    def layout(self) -> Layout:
        """How its kernel lies."""
        layout = self.traits.kernel
        assert layout is not None, f"{self.name} has no kernel"
        return layout

    @property
    def kernel(self) -> NDArray:
        """Its kernel as [H, W, I, K], see `numerics.layouts`."""
        return self.layout.common(self.weights["kernel"])

    @property
    def groups(self) -> int:
        """Groups of channels that its kernel keeps apart."""
        sizes = dict(zip(self.layout.axes, self.weights["kernel"].shape, strict=True))
        return sizes.get("G", self.config.get("groups", 1))

    def with_kernel(self, kernel: NDArray) -> "Node":
        """The node with another kernel, given as [H, W, I, K]; float32."""
        own = self.layout.restored(kernel, self.weights["kernel"].shape)
        weights = {**self.weights, "kernel": np.ascontiguousarray(own, np.float32)}
        return replace(self, weights=weights)


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in graph order: the network's inputs first, then every node behind what it reads.

    Attributes:
        name: the model's name.
        nodes: all nodes.
        skipped: Keras layers that compute nothing at inference, with the reason.
        outputs: names of the nodes whose values the model returns, in its order; by default that
            of the last node.
        output_names: what the model calls its outputs; by default the layers that they come from.

    Raises:
        ValueError: an output that no node has the name of.
    """

    name: str
    nodes: tuple[Node, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.outputs:
            object.__setattr__(self, "outputs", (self.nodes[-1].name,))
        unknown = [name for name in self.outputs if name not in self.by_name]
        if unknown:
            raise ValueError(f"outputs {unknown} are no nodes of the graph {self.name!r}")
        if not self.output_names:
            sources = tuple(self.by_name[name].source or name for name in self.outputs)
            twice = len(set(sources)) < len(sources)
            object.__setattr__(self, "output_names", self.outputs if twice else sources)

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """Nodes by their names."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def readers(self) -> Mapping[str, tuple[str, ...]]:
        """For every node the names of the nodes that read it."""
        found: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for name in node.inputs:
                found[name].append(node.name)
        return {name: tuple(readers) for name, readers in found.items()}

    def moves(self, node: Node) -> set[tuple[str, tuple[int, ...]]]:
        """How values are moved on their way to a node: layout ops and their numbers, all axes.

        Numbers of "pad" are those before and after each axis, of "crop" the first index of each
        axis, of "permute" the axes; "reshape" is left out.
        """
        found = set()
        for name in node.inputs:
            before = self.by_name[name]
            while before.traits.moves:
                if before.op == "pad":
                    found.add(("pad", (0, 0, *sum(before.config["padding"], ()), 0, 0)))
                elif before.op == "pad_channels":
                    ends = (before.config["before"], before.config["after"])
                    found.add(("pad", (0, 0) * len(before.output_shape) + ends))
                elif before.op == "crop":
                    (top, _), (left, _) = before.config["cropping"]
                    found.add(("crop", (0, top, left, 0)))
                elif before.op == "permute":
                    found.add(("permute", (0, *before.config["dims"])))
                before = self.by_name[before.inputs[0]]
        return found

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that decides what the graph computes, names included."""
        found = hashlib.sha256()
        for node in self.nodes:
            config = sorted(node.config.items())
            shape = [int(size) for size in node.output_shape]
            found.update(repr((node.name, node.op, node.inputs, shape, config)).encode())
            for role, weight in sorted(node.weights.items()):
                found.update(repr((role, weight.dtype.str, weight.shape)).encode())
                found.update(np.ascontiguousarray(weight).tobytes())
        found.update(repr(self.outputs).encode())
        return found.hexdigest()

    @property
    def non_finite(self) -> tuple[str, ...]:
        """Names of the nodes with a weight or a constant that is NaN or infinite."""

        def finite(node: Node) -> bool:
            constants = [value for value in node.config.values() if isinstance(value, float)]
            return all(np.isfinite(held).all() for held in (*node.weights.values(), constants))

        return tuple(node.name for node in self.nodes if not finite(node))

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input nodes, in the model's order."""
        return tuple(node.name for node in self.nodes if node.op == "input")

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the inputs by their names, without the batch axis."""
        return {name: self.by_name[name].output_shape for name in self.inputs}

    @property
    def computing(self) -> tuple[Node, ...]:
        """The nodes behind the inputs."""
        return tuple(node for node in self.nodes if node.op != "input")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The first input's shape, without the batch axis."""
        return self.nodes[0].output_shape

    @property
    def output(self) -> Node:
        """The node whose value the model returns, the first one of several."""
        return self.by_name[self.outputs[0]]

    @cached_property
    def rows(self) -> tuple["LayerNode", ...]:
        """Everything that computes, in graph order, ReLUs fused where TFLite does.

        Batch norms must have been folded or made affine first.
        """
        return _rows(self)[0]

    @cached_property
    def makers(self) -> Mapping[str, str]:
        """For every node the row (or input) whose value it hands on: itself, but for layout ops and
        fused ReLUs."""
        return _rows(self)[1]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)


def needed(nodes: Iterable[Node], outputs: Iterable[str]) -> tuple[Node, ...]:
    """Inputs, and what outputs are computed from, in order."""
    wanted = set(outputs)
    kept = []
    for node in reversed(list(nodes)):
        if node.name in wanted or node.op == "input":
            wanted |= set(node.inputs)
            kept.append(node)
    return tuple(reversed(kept))


def alike(first: Graph, second: Graph) -> bool:
    """Whether two graphs have the same nodes with the same weights, number by number."""
    return first is second or (
        len(first.nodes) == len(second.nodes)
        and first.outputs == second.outputs
        and all(_alike(a, b) for a, b in zip(first, second, strict=True))
    )


def _alike(first: Node, second: Node) -> bool:
    return (
        (first.name, first.op, first.inputs, first.config)
        == (second.name, second.op, second.inputs, second.config)
        and first.weights.keys() == second.weights.keys()
        and all(np.array_equal(w, second.weights[role]) for role, w in first.weights.items())
    )


@dataclass(frozen=True)
class LayerNode:
    """One row of the layer tables: an op with the ReLU that TFLite fuses into it.

    Attributes:
        number: 1-based over the layers that own a kernel, else None (docs, "How to read each
            metric").
        name: the op's node, named as the Keras layer.
        kind: "conv", "pointwise", "group", "depthwise", "dense", or the op's name.
        output: the node whose value is the layer's output: the op, or its fused ReLU.
        producers: names of the rows (or of inputs) that it reads, across layout ops.
        output_shape: without the batch axis.
        has_kernel: whether the node owns a kernel.
        macs: multiply-accumulates for one image.
        params: numbers in kernel and bias.
    """

    number: int | None
    name: str
    kind: str
    output: str
    producers: tuple[str, ...]
    output_shape: tuple[int, ...]
    has_kernel: bool
    macs: int
    params: int


def _rows(graph: Graph) -> tuple[tuple[LayerNode, ...], Mapping[str, str]]:
    fused = {
        graph.readers[node.name][0]: node.name for node in graph if _fuses_its_reader(graph, node)
    }
    row_of: dict[str, str] = {name: name for name in graph.inputs}
    rows: list[LayerNode] = []
    number = 0
    for node in graph.computing:
        if node.name in fused:
            row_of[node.name] = fused[node.name]
        elif node.traits.moves:
            row_of[node.name] = row_of[node.inputs[0]]
        else:
            owns = node.traits.numbered
            number += owns
            relu = next(iter(graph.readers[node.name]), node.name)
            rows.append(
                LayerNode(
                    number=number if owns else None,
                    name=node.name,
                    kind=_kind(node),
                    output=relu if fused.get(relu) == node.name else node.name,
                    producers=tuple(row_of[name] for name in node.inputs),
                    output_shape=node.output_shape,
                    has_kernel=owns,
                    macs=node.macs,
                    params=sum(w.size for w in node.weights.values()),
                )
            )
            row_of[node.name] = node.name
    return tuple(rows), row_of


def _fuses_its_reader(graph: Graph, node: Node) -> bool:
    """Whether TFLite fuses a ReLU into a node: one that alone reads it, and it is no output."""
    readers = graph.readers[node.name]
    alone = len(readers) == 1 and node.name not in graph.outputs
    return node.traits.fuses_relu and alone and graph.by_name[readers[0]].op == "relu"


def _kind(node: Node) -> str:
    if node.op != "conv":
        return node.op
    if node.config["groups"] > 1:
        return "group"
    return "pointwise" if node.kernel.shape[:2] == (1, 1) else "conv"
