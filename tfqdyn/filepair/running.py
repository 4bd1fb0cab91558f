"""Values of chosen tensors out of the interpreter, for samples of one or several inputs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tfqdyn.console import stderr_dropped
from tfqdyn.filepair.side import Side
from tfqdyn.numerics import loops
from tfqdyn.tflite import interpreter
from tfqdyn.tflite.file import TfliteFileError


class FileRun:
    """One interpreter with one thread; run several of them side by side.

    Args:
        side: the file, tried.
        tensors: those that are read.
        at_once: how many samples it will be given; files of a fixed number run as often as it
            takes.
    """

    def __init__(self, side: Side, tensors: Sequence[int], at_once: int) -> None:
        self._side, self._tensors = side, tuple(tensors)
        self._batch = side.fixed or at_once
        self._keeps = any(tensor.variable for tensor in side.flow.model.tensors)
        with interpreter.refusals(), stderr_dropped():  # delegates announce themselves
            self._interpreter = interpreter.observed(side.content, side.resolver)
            for port in side.inputs:
                shape = (at_once, *port.shape[1:]) if side.fixed is None else port.shape
                self._interpreter.resize_tensor_input(port.tensor, shape)
            self._interpreter.allocate_tensors()
        self._unchecked = set(self._tensors)

    def __call__(self, samples: dict[str, NDArray]) -> list[NDArray]:
        """The tensors' values, [N, ...] each, for N samples of every input, by its name.

        Where all of them went through at once these are views, which must be gone before the next
        call.
        """
        (count,) = {len(array) for array in samples.values()}
        if count == self._batch:
            self._invoke(samples)
            return [self._read(tensor) for tensor in self._tensors]
        found: list[list[NDArray]] = [[] for _ in self._tensors]
        for start in range(0, count, self._batch):
            some = {name: array[start : start + self._batch] for name, array in samples.items()}
            held = min(self._batch, count - start)
            if held < self._batch:
                some = {
                    name: np.concatenate([array, array[:1].repeat(self._batch - held, axis=0)])
                    for name, array in some.items()
                }
            self._invoke(some)
            for values, tensor in zip(found, self._tensors, strict=True):
                values.append(self._read(tensor)[:held].copy())
        return [np.concatenate(values) for values in found]

    def _invoke(self, samples: dict[str, NDArray]) -> None:
        if self._keeps:
            self._interpreter.reset_all_variables()
        for port in self._side.inputs:
            params = self._side.tensor(port.tensor).params
            held = self._interpreter.tensor(port.tensor)()
            given = np.ascontiguousarray(samples[port.name])
            if params is None:
                held[...] = given.reshape(held.shape)
            else:
                loops.quantize(given.reshape(-1), *params.grid, held.reshape(-1))
            del held
        with interpreter.refusals():
            self._interpreter.invoke()
        while self._unchecked:  # some have a shape only now
            self._check(self._unchecked.pop())

    def _read(self, tensor: int) -> NDArray:
        values = self._interpreter.tensor(tensor)()
        return values.reshape(self._batch, -1)

    def _check(self, tensor: int) -> None:
        """That a tensor is what the trial run told: what reads it relies on that."""
        told, held = self._side.tensor(tensor), self._interpreter.tensor(tensor)()
        expected = np.prod(self._side.sample_shape(tensor), dtype=int) * self._batch
        dtype = "int8" if told.dtype == "int4" else told.dtype
        if held.dtype != dtype or held.size != expected:
            raise TfliteFileError(
                f"the {self._side.which} file: tensor {told.name!r} should be {told.dtype} "
                f"{told.shape}; the interpreter makes it {held.dtype} {held.shape}"
            )
