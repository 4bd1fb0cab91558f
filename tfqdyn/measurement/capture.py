"""Readings of a network: fp32 activations from Keras, codes of a file cut into its rows, latency.

They take a chunk of images of a fixed size and return views, not copies.
"""

import statistics
import time
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfqdyn.datasets import Batch, by_input
from tfqdyn.network.graph import Graph
from tfqdyn.network.rebuild import to_keras
from tfqdyn.numerics import loops
from tfqdyn.numerics.grid import QuantParams
from tfqdyn.quantization.cutting import CutModel
from tfqdyn.tflite import interpreter


class KerasActivations:
    """fp32 values of chosen nodes of a folded graph, several threads at a time."""

    def __init__(self, graph: Graph, nodes: Sequence[str]) -> None:
        if keras.backend.backend() != "tensorflow":
            raise RuntimeError(
                f"the analysis needs Keras on TensorFlow, received {keras.backend.backend()!r}; "
                "set KERAS_BACKEND=tensorflow"
            )
        self.nodes = tuple(nodes)
        self.model: keras.Model = to_keras(graph, nodes)
        self._inputs = graph.inputs
        shapes = graph.input_shapes.values()
        self._run = tf.function(
            lambda *given: self.model(given[0] if len(given) == 1 else list(given), training=False),
            input_signature=[tf.TensorSpec((None, *shape), tf.float32) for shape in shapes],
            autograph=False,
        )

    def __call__(self, images: Batch) -> list[NDArray[np.float32]]:
        """Activations of a preprocessed chunk: for every node an array [N, ...]."""
        arrays = by_input(self._inputs, images).values()
        outputs = self._run(*(tf.constant(array, tf.float32) for array in arrays))
        tensors = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return [np.asarray(memoryview(tensor)) for tensor in tensors]

    def by_node(self, images: Batch) -> dict[str, NDArray[np.float32]]:
        """The same by the nodes' names."""
        return dict(zip(self.nodes, self(images), strict=True))


class CutTensors:
    """Codes of every row of a cut model, each computed from given values; one fixed chunk size."""

    def __init__(self, cut: CutModel, chunk: int, resolver: str = interpreter.RESOLVER) -> None:
        self._interpreter = interpreter.observed(cut.converted.content, resolver)
        self._feeds: list[tuple[int, str, QuantParams]] = []
        for detail in self._interpreter.get_input_details():
            source = cut.feeds[detail["name"]]
            params = cut.feed_params[source]
            shape = [chunk, *detail["shape"][1:]]
            self._interpreter.resize_tensor_input(detail["index"], shape)
            self._feeds.append((detail["index"], source, params))
        with interpreter.refusals():
            self._interpreter.allocate_tensors()
        self._rows = [pair.tensor for pair in cut.converted.pairs]

    def __call__(self, values: Mapping[str, NDArray[np.float32]]) -> list[NDArray]:
        """Codes of all rows, fed with fp32 values [chunk, ...] of rows and inputs, by name.

        Views into the interpreter, as with `TfliteTensors`.
        """
        for index, source, params in self._feeds:
            codes = self._interpreter.tensor(index)()
            flat = np.ascontiguousarray(values[source]).reshape(-1)
            loops.quantize(flat, *params.grid, codes.reshape(-1))
            del codes
        with interpreter.refusals():
            self._interpreter.invoke()
        return [self._interpreter.tensor(index)() for index in self._rows]


def latency_ms(content: bytes, runs: int, threads: int) -> float:
    """Median time in milliseconds of one image through a file, as it is deployed.

    That is, with the interpreter's default delegates (XNNPACK), no tensors kept, after two runs
    that do not count, on an input of all zero codes.
    """
    run = interpreter.deployed(content, threads)
    run.allocate_tensors()
    times = []
    for _ in range(runs + 2):
        start = time.perf_counter()
        run.invoke()
        times.append(time.perf_counter() - start)
    return 1000.0 * statistics.median(times[2:])
