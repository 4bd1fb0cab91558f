"""Codes of every tensor that is asked for, out of the interpreter."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tfqdyn.datasets import Batch, by_input
from tfqdyn.numerics import loops
from tfqdyn.tflite import interpreter
from tfqdyn.tflite.file import TfliteFileError, TfliteModel
from tfqdyn.tflite.pairs import LayerPair


class Paired(Protocol):
    """A file whose tensors are known."""

    @property
    def content(self) -> bytes:
        """The file."""
        ...

    @property
    def model(self) -> TfliteModel:
        """The same, parsed."""
        ...

    @property
    def pairs(self) -> Sequence[LayerPair]:
        """Rows with their tensors."""
        ...

    @property
    def inputs(self) -> Mapping[str, int]:
        """The file's input tensors, by the names of the network's inputs."""
        ...

    @property
    def outputs(self) -> Sequence[int]:
        """The file's output tensors, in the order of the network's outputs."""
        ...


class TfliteTensors:
    """Codes of every paired tensor of a converted model, for chunks of one fixed size.

    One interpreter with one thread: run several of them in threads of their own (invoking releases
    Python's lock), which scales better than threads inside the kernels. Files of one fixed batch
    size are run as often as a chunk takes.
    """

    def __init__(self, converted: Paired, chunk: int) -> None:
        self.converted = converted
        model = converted.model
        self._indices = [*(pair.tensor for pair in converted.pairs), *converted.outputs]
        shapes = {t: model.batch_shape(t, chunk) for t in converted.inputs.values()}
        self._batch = next(iter(shapes.values()))[0]
        with interpreter.refusals():
            self._interpreter = interpreter.observed(converted.content)
            for tensor, shape in shapes.items():
                self._interpreter.resize_tensor_input(tensor, shape)
            self._interpreter.allocate_tensors()
        for tensor in shapes:
            self._check(tensor)
        self._unchecked = set(self._indices)

    def __call__(self, images: Batch) -> list[NDArray]:
        """Runs a preprocessed chunk; the codes of every pair, then those of every output.

        The arrays are views into the interpreter, valid until the next call; every one of them
        must be gone by then. Layers that run in fp32 give float32 values.
        """
        arrays = by_input(list(self.converted.inputs), images)
        if len(images) == self._batch:
            self._invoke(arrays)
            return [self._interpreter.tensor(index)() for index in self._indices]
        found: list[list[NDArray]] = [[] for _ in self._indices]
        for start in range(0, len(images), self._batch):
            parts = {name: a[start : start + self._batch] for name, a in arrays.items()}
            count = min(self._batch, len(images) - start)
            missing = self._batch - count
            self._invoke({
                name: np.concatenate([part, part[:1].repeat(missing, axis=0)])
                for name, part in parts.items()
            })  # fmt: skip
            for codes, index in zip(found, self._indices, strict=True):
                tensor = self._interpreter.get_tensor(index)
                codes.append(tensor.reshape(self._batch, -1)[:count])
        return [np.concatenate(codes) for codes in found]

    def _check(self, index: int) -> None:
        """That a tensor is what the file says: kernels that read it know its size from there."""
        model = self.converted.model
        first = next(iter(self.converted.inputs.values()))
        told, images = model.tensors[index], model.tensors[first].shape[0]
        held = self._interpreter.tensor(index)()
        if held.dtype != told.dtype or held.size * images != math.prod(told.shape) * self._batch:
            raise TfliteFileError(
                f"tensor {told.name!r} should be {told.dtype} {told.shape}; with {self._batch} "
                f"images the interpreter makes it {held.dtype} {held.shape}"
            )

    def _invoke(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        for name, tensor in self.converted.inputs.items():
            params = self.converted.model.tensors[tensor].params
            held = self._interpreter.tensor(tensor)()
            if params is None:
                held[...] = arrays[name]
            else:
                flat = np.ascontiguousarray(arrays[name]).reshape(-1)
                loops.quantize(flat, *params.grid, held.reshape(-1))
            del held
        with interpreter.refusals():
            self._interpreter.invoke()
        while self._unchecked:  # some have a shape only now
            self._check(self._unchecked.pop())
