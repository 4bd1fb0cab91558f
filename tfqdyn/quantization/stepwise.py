"""The quantized network in fp32 arithmetic, one step at a time over a set of images.

Remedies that go through a network layer by layer see here what each layer reads once everything
before it is quantized. A step is a row with the ReLU fused into it, or a layout op. Between steps
only codes are kept (fp32 values after rows that stay in fp32), and only while something
still reads them.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfqdyn.datasets import Batch, by_input
from tfqdyn.network.graph import Graph, LayerNode, Node
from tfqdyn.numerics import loops
from tfqdyn.numerics.grid import QuantParams
from tfqdyn.quantization import fakequant
from tfqdyn.quantization.deployed import Run


@dataclass(frozen=True, eq=False)
class Stored:
    """What is kept of a node's values: for every chunk of images codes [N, ...], and their grid.

    fp32 values where the grid is None.
    """

    chunks: Sequence[NDArray]
    params: QuantParams | None

    @property
    def zero(self) -> int:
        """What stands for 0."""
        return 0 if self.params is None else int(self.params.zero_point)

    def values(self, codes: NDArray) -> NDArray[np.float32]:
        """The values of some codes."""
        if self.params is None:
            return codes
        scale, zero = np.float32(self.params.scale), np.float32(self.params.zero_point)
        return (codes.astype(np.float32) - zero) * scale


@dataclass(frozen=True, eq=False)
class Step:
    """One step: its node, the row that it computes (None for layout ops), the ReLU fused in."""

    node: Node
    row: LayerNode | None
    relu: Node | None


def steps_of(graph: Graph) -> tuple[Step, ...]:
    """The steps of a folded graph, in graph order."""
    rows = {row.name: row for row in graph.rows}
    fused = {row.output for row in rows.values() if row.output != row.name}
    return tuple(
        Step(node, row, graph.by_name[row.output] if row and row.output in fused else None)
        for node in graph.computing
        if node.name not in fused
        for row in (rows.get(node.name),)
    )


def run_of(
    values: Callable[[Mapping[str, tf.Tensor]], list[tf.Tensor]], graph: Graph, chunk: int
) -> Run:
    """What runs a function of a graph's inputs, [chunk, ...] each, as one TensorFlow graph."""
    shapes = graph.input_shapes
    signature = [tf.TensorSpec((chunk, *shape), tf.float32) for shape in shapes.values()]

    def of_inputs(*tensors: tf.Tensor) -> list[tf.Tensor]:
        return values(dict(zip(shapes, tensors, strict=True)))

    compiled = tf.function(of_inputs, input_signature=signature, autograph=False)

    def run(batch: Batch) -> list[NDArray]:
        given = [tf.constant(array) for array in by_input(graph.inputs, batch).values()]
        return [np.asarray(memoryview(value)) for value in compiled(*given)]

    return run


class StepwiseNetwork:
    """What every node holds in the quantized network, for some images.

    Args:
        graph: a folded graph; its rows are advanced in order.
        params: parameters of the inputs and of every row's output, by name; of one dtype, that of
            kernels too. None where all rows run in fp32.
        images: preprocessed images in chunks, each a `datasets.Batch`.
        float_layers: rows that run in fp32; an input's name for one that is not rounded.
    """

    def __init__(
        self,
        graph: Graph,
        params: Mapping[str, QuantParams],
        images: Iterable[Batch],
        float_layers: Collection[str] = (),
    ) -> None:
        self._params = params
        self._float = frozenset(float_layers)
        self._dtype = next((found.dtype for found in params.values()), None)
        self._unread = {name: len(readers) for name, readers in graph.readers.items()}
        self._encoding: dict[str, QuantParams | None] = {
            name: None if name in self._float else params[name] for name in graph.inputs
        }
        self._values: dict[str, list[NDArray]] = {name: [] for name in graph.inputs}
        for batch in images:
            for name, array in by_input(graph.inputs, batch).items():
                self._values[name].append(_encode(array, self._encoding[name]))

    @property
    def images(self) -> int:
        """How many images there are."""
        return sum(map(len, next(iter(self._values.values()))))

    def stored(self, name: str) -> Stored:
        """What is kept of a node that something still reads."""
        return Stored(self._values[name], self._encoding[name])

    def inputs(self, node: Node) -> Iterator[list[tf.Tensor]]:
        """What a node reads: for every chunk of images the values of its inputs."""
        for chunks in zip(*(self._values[name] for name in node.inputs), strict=True):
            yield [
                _decode(chunk, self._encoding[name])
                for name, chunk in zip(node.inputs, chunks, strict=True)
            ]

    def before_activation(self, node: Node, quantized: bool = True) -> Iterator[tf.Tensor]:
        """A row's values before any ReLU or rounding; `quantized` is about its kernel."""
        dtype = self._dtype if quantized and node.name not in self._float else None
        for inputs in self.inputs(node):
            yield fakequant.compute(node, inputs, dtype)

    def advance(self, step: Step, node: Node | None = None) -> None:
        """Computes a step, with `node` instead of its own if given; lets go what is read."""
        node = node or step.node
        params = self._encoding[node.inputs[0]]
        if step.row is not None:
            params = None if step.row.name in self._float else self._params[step.row.name]
        made = []
        for value in self.before_activation(node):
            if step.relu is not None:
                value = fakequant.compute(step.relu, [value])
            made.append(_encode(np.asarray(memoryview(value)), params))  # type: ignore[arg-type]
        end = node.name if step.relu is None else step.relu.name
        self._values[end], self._encoding[end] = made, params
        for name in node.inputs:
            self._unread[name] -= 1
            if not self._unread[name]:
                del self._values[name]


def channel_means(
    values: Iterable[NDArray | tf.Tensor],
) -> NDArray[np.float64]:
    """Mean of every channel (the last axis) over chunks, in float64."""
    total, count = np.zeros(1), 0
    for chunk in values:
        array = np.asarray(chunk)
        flat = array.reshape(-1, array.shape[-1])
        total = total + flat.sum(axis=0, dtype=np.float64)
        count += len(flat)
    return total / count


def _encode(values: NDArray[np.float32], params: QuantParams | None) -> NDArray:
    if params is None:
        return np.array(values)
    codes = np.empty(values.shape, params.dtype)
    flat = np.ascontiguousarray(values).reshape(-1)
    loops.quantize(flat, *params.grid, codes.reshape(-1))
    return codes


def _decode(stored: NDArray, params: QuantParams | None) -> tf.Tensor:
    value = tf.cast(tf.constant(stored), tf.float32)
    if params is None:
        return value
    return (value - tf.cast(params.zero_point, tf.float32)) * tf.cast(params.scale, tf.float32)
