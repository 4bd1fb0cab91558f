"""Codes of every tensor that is asked for, out of the interpreter."""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tfqdyn.numerics import loops
from tfqdyn.numerics.grid import QuantParams
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
    def input_params(self) -> QuantParams | None:
        """Quantization of the input; None where it is in floats."""
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
            loops.quantize(flat, *params.grid, held.reshape(-1))
        del held
        with interpreter.refusals():
            self._interpreter.invoke()
        while self._unchecked:  # some have a shape only now
            self._check(self._unchecked.pop())
