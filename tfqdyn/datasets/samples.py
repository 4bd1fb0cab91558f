"""Samples of a file of records: photographs' bytes, decoded when indexed, or arrays of numbers."""

import io
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tfqdyn.files.filearray import FileArray
from tfqdyn.files.imagefiles import DataError, decoded


class RecordSamples(FileArray):
    """The samples of one file, read one by one; all have the shape of the first.

    Args:
        path: the file.
        size: (height, width) that photographs are cropped and resized to.
        count: of the samples.

    Raises:
        DataError: photographs without a size; here and when indexed, for a damaged sample, or one
            of another shape.
    """

    UNIT: ClassVar[str]
    """What errors call a sample's place."""

    def __init__(self, path: Path, size: tuple[int, int] | None, count: int) -> None:
        self._path, self._size = path, size
        first = self._sample(0)
        self.dtype, self.shape = first.dtype, (count, *first.shape)

    @abstractmethod
    def value(self, position: int) -> bytes | NDArray:
        """What the file holds at a position."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The file."""
        return (self._path,)

    def name_of(self, position: int) -> str:
        """What a sample is called in errors."""
        return f"{self.UNIT} {position} of {self._path}"

    def read(self, positions: NDArray[np.int64]) -> NDArray:
        """The samples at some positions, [len(positions), ...]."""
        found = []
        for position in map(int, positions):
            found.append(self._sample(position))
            if found[-1].shape != self.shape[1:]:
                raise DataError(
                    f"{self.name_of(position)} has shape {found[-1].shape}, the first one "
                    f"{self.shape[1:]}"
                )
        return np.stack(found)

    def _sample(self, position: int) -> NDArray:
        value = self.value(position)
        if not isinstance(value, bytes):
            return value
        if self._size is None:
            raise DataError(
                f"{self._path} holds photographs: give the image_size to resize them to"
            )
        return decoded(io.BytesIO(value), self._size, self.name_of(position))
