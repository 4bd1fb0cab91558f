"""Images or arrays -> what the inputs of a file hold: codes where they are quantized."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.datasets import PREPROCESSING, DataError, Inputs, preprocess
from tfqdyn.numerics.grid import quantize
from tfqdyn.tflite.file import Tensor, TfliteModel

TYPES = ("float32", "uint8", "int8", "int16", "int32", "int64", "bool")
"""dtypes of inputs that can be fed."""


def batch_of(model: TfliteModel) -> int:
    """How many images one run of the file takes: 1, or what it fixes."""
    first = model.tensors[model.inputs[0]]
    return 1 if first.any_batch or not first.shape else first.shape[0]


def arrays_of(model: TfliteModel, given: Any) -> list[Any]:
    """For every input of the file, in its order, the array that feeds it.

    Args:
        model: the file.
        given: one array [N, ...], or `datasets.Inputs` by the inputs' names.

    Raises:
        DataError: an input without an array.
    """
    names = [model.tensors[i].name for i in model.inputs]
    if not isinstance(given, Inputs):
        if len(names) != 1:
            raise DataError(
                f"the file has the inputs {', '.join(names)}, the data holds one array; give an "
                "array for each input by the input's name"
            )
        return [given]
    arrays = given.arrays
    if len(names) == len(arrays) == 1:
        return list(arrays.values())
    keys = {name: _key(name, arrays) for name in names}
    if missing := [name for name, key in keys.items() if key is None]:
        raise DataError(
            f"the data has no array for {', '.join(missing)}; the file's inputs are "
            f"{', '.join(names)}, the arrays {', '.join(arrays)}"
        )
    return [arrays[key] for key in keys.values() if key is not None]


def _key(name: str, given: Mapping[str, Any]) -> str | None:
    """The array's name: the tensor's, or what is left of it without a signature's decoration."""
    plain = name.removeprefix("serving_default_").split(":")[0]
    return next((key for key in (name, plain) if key in given), None)


def check(model: TfliteModel, arrays: Sequence[Any], name: str, mode: str) -> None:
    """That every array fits its input.

    Raises:
        DataError: no images, different numbers of them, or another shape than the file's; or a mode
            that is none of `datasets.PREPROCESSING`.
    """
    if mode not in PREPROCESSING:
        raise DataError(f"preprocessing must be one of {list(PREPROCESSING)}, received {mode!r}")
    counts = [len(array) for array in arrays]
    if len(set(counts)) > 1 or counts[0] < 1:
        raise DataError(f"{name} holds {counts} images for the file's inputs")
    for index, array in zip(model.inputs, arrays, strict=True):
        tensor = model.tensors[index]
        if tensor.dtype not in TYPES:
            raise DataError(f"input {tensor.name!r} takes {tensor.dtype}; expected {list(TYPES)}")
        shape = tuple(array.shape[1:])
        if _squeezed(shape) != _squeezed(tensor.shape[1:]):
            raise DataError(
                f"the file expects {tensor.name!r} to be {tensor.shape[1:]}, {name} holds {shape}"
            )


def _squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


class Feed:
    """The file's inputs, one run after another; the last is filled up with its last image.

    Args:
        model: the file.
        arrays: for every input, see `arrays_of`; they fit (`check`).
        indices: the images.
        mode: of `datasets.PREPROCESSING`, for inputs of floats and of codes.
    """

    def __init__(
        self, model: TfliteModel, arrays: Sequence[Any], indices: NDArray[np.int64], mode: str
    ) -> None:
        self._model, self._arrays, self._mode = model, arrays, mode
        self._batch = batch_of(model)
        self.indices = indices

    def __len__(self) -> int:
        return -(-len(self.indices) // self._batch)

    def runs(self, start: int, end: int) -> list[list[NDArray]]:
        """The inputs of runs [start, end), or of as many of these as there are.

        Raises:
            DataError: a value is NaN or infinite, or no number that an integer input holds.
        """
        return [self._run(k) for k in range(start, min(end, len(self)))]

    def _run(self, number: int) -> list[NDArray]:
        chosen = self.indices[number * self._batch : (number + 1) * self._batch]
        chosen = np.concatenate([chosen, np.repeat(chosen[-1:], self._batch - len(chosen))])
        return [
            _values(self._model.tensors[index], np.asarray(array[chosen]), self._mode)
            for index, array in zip(self._model.inputs, self._arrays, strict=True)
        ]


def _values(tensor: Tensor, raw: NDArray, mode: str) -> NDArray:
    """What one input holds, in its shape and type."""
    shape = (len(raw), *tensor.shape[1:]) if tensor.shape else ()
    if tensor.params is None and tensor.dtype != "float32":
        kept = raw.astype(tensor.dtype)
        if not np.array_equal(kept, raw):
            raise DataError(f"{tensor.name!r} takes {tensor.dtype}, which the data does not fit")
        return kept.reshape(shape)
    with np.errstate(over="ignore"):
        values = preprocess(raw, mode)
    if not np.isfinite(values).all():
        raise DataError(f"the data for {tensor.name!r} holds NaN or infinity")
    if tensor.params is None:
        return np.ascontiguousarray(values).reshape(shape)
    return quantize(values, tensor.params).reshape(shape)
