"""The two readings of one network: fp32 activations from Keras, codes from the TFLite interpreter.

Both take a chunk of images of a fixed size and return views, not copies.
"""

import math
import statistics
import time
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfqdyn.network.graph import Graph
from tfqdyn.network.rebuild import to_keras
from tfqdyn.numerics import kernels
from tfqdyn.numerics.grid import QuantParams
from tfqdyn.quantization.conversion import Converted, CutModel
from tfqdyn.tflite import interpreter
from tfqdyn.tflite.file import TfliteFileError


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
        self._run = tf.function(
            lambda images: self.model(images, training=False),
            input_signature=[tf.TensorSpec((None, *graph.input_shape), tf.float32)],
            autograph=False,
        )

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Activations of preprocessed images [N, H, W, C]: for every node an array [N, ...]."""
        outputs = self._run(tf.constant(images, tf.float32))
        tensors = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return [np.asarray(memoryview(tensor)) for tensor in tensors]

    def by_node(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """The same by the nodes' names."""
        return dict(zip(self.nodes, self(images), strict=True))


class TfliteTensors:
    """Codes of every paired tensor of a converted model, for chunks of one fixed size.

    One interpreter with one thread: run several of them in threads of their own (invoking releases
    Python's lock), which scales better than threads inside the kernels. Files of one fixed batch
    size are run as often as a chunk takes.
    """

    def __init__(self, converted: Converted, chunk: int) -> None:
        self.converted = converted
        model = converted.model
        (self._input,), (self.output,) = model.inputs, model.outputs
        self._indices = [*(pair.tensor for pair in converted.pairs), self.output]
        shape = model.input_shape(chunk)
        self._batch = shape[0]
        with interpreter.refusals():
            self._interpreter = interpreter.observed(converted.content)
            self._interpreter.resize_tensor_input(self._input, shape)
            self._interpreter.allocate_tensors()
        self._check(self._input)
        self._unchecked = set(self._indices)

    def __call__(self, images: NDArray[np.float32]) -> list[NDArray]:
        """Runs preprocessed images [chunk, H, W, C]; the codes of every pair, then the output's.

        The arrays are views into the interpreter, valid until the next call; every one of them
        must be gone by then. Layers that run in fp32 give float32 values.
        """
        if len(images) == self._batch:
            self._invoke(images)
            return [self._interpreter.tensor(index)() for index in self._indices]
        found: list[list[NDArray]] = [[] for _ in self._indices]
        for start in range(0, len(images), self._batch):
            part = images[start : start + self._batch]
            missing = self._batch - len(part)
            self._invoke(np.concatenate([part, part[:1].repeat(missing, axis=0)]))
            for codes, index in zip(found, self._indices, strict=True):
                tensor = self._interpreter.get_tensor(index)
                codes.append(tensor.reshape(self._batch, -1)[: len(part)])
        return [np.concatenate(codes) for codes in found]

    def _check(self, index: int) -> None:
        """That a tensor is what the file says: kernels that read it know its size from there."""
        model = self.converted.model
        told, images = model.tensors[index], model.tensors[self._input].shape[0]
        held = self._interpreter.tensor(index)()
        if held.dtype != told.dtype or held.size * images != math.prod(told.shape) * self._batch:
            raise TfliteFileError(
                f"tensor {told.name!r} should be {told.dtype} {told.shape}; with {self._batch} "
                f"images the interpreter makes it {held.dtype} {held.shape}"
            )

    def _invoke(self, images: NDArray[np.float32]) -> None:
        params = self.converted.input_params
        held = self._interpreter.tensor(self._input)()
        if params is None:
            held[...] = images
        else:
            flat = np.ascontiguousarray(images).reshape(-1)
            kernels.quantize(flat, *params.grid, held.reshape(-1))
        del held
        with interpreter.refusals():
            self._interpreter.invoke()
        while self._unchecked:  # some have a shape only now
            self._check(self._unchecked.pop())


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
        """Codes of all rows, fed with fp32 values [chunk, ...] of rows and input, by name.

        Views into the interpreter, as with `TfliteTensors`.
        """
        for index, source, params in self._feeds:
            codes = self._interpreter.tensor(index)()
            flat = np.ascontiguousarray(values[source]).reshape(-1)
            kernels.quantize(flat, *params.grid, codes.reshape(-1))
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
