"""Arrays whose samples stay in files until they are indexed, as NumPy arrays are."""

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class FileArray(ABC):
    """Samples [N, ...] of one dtype.

    Indexing along the first axis is NumPy's: a whole number gives a sample; a slice, a list or
    array of positions or of truth values gives an array of samples. `np.asarray` reads them all.
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    @abstractmethod
    def read(self, positions: NDArray[np.int64]) -> NDArray:
        """The samples at some positions from 0, [len(positions), ...]."""

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, item: Any) -> NDArray:
        chosen = np.arange(len(self))[item]  # refuses what an array refuses
        if chosen.ndim == 0:
            return self.read(chosen.reshape(1))[0]
        if not len(chosen):
            return np.empty((0, *self.shape[1:]), self.dtype)
        return self.read(chosen)

    def reshape(self, *shape: int) -> "FileArray":
        """The same numbers in another shape with as many samples."""
        if shape[0] != self.shape[0] or math.prod(shape) != math.prod(self.shape):
            raise ValueError(f"cannot take {self.shape} as {shape}")
        return Reshaped(self, shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        if copy is False:
            raise ValueError("the samples are in files: an array of them is a copy")
        array = self[:]
        return array if dtype is None else array.astype(dtype)


class Reshaped(FileArray):
    """The samples of an array in another shape; as many of them."""

    def __init__(self, array: FileArray, shape: tuple[int, ...]) -> None:
        self._array, self.shape, self.dtype = array, tuple(shape), array.dtype

    @property
    def files(self) -> tuple[Path, ...]:
        """Where the samples are."""
        return tuple(getattr(self._array, "files", ()))

    def read(self, positions: NDArray[np.int64]) -> NDArray:
        """The samples at some positions, [len(positions), ...]."""
        return self._array.read(positions).reshape(len(positions), *self.shape[1:])
