"""Arrays in many files, one after the other, as one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.files.filearray import FileArray
from tfqdyn.files.imagefiles import DataError


class Joined(FileArray):
    """The samples of several arrays [N, ...], in their order.

    Args:
        parts: arrays whose samples stay in files, of one dtype and shape.
        names: of the parts, for errors.

    Raises:
        DataError: parts differ in dtype or in the shape of their samples.
    """

    def __init__(self, parts: Sequence[FileArray], names: Sequence[Any]) -> None:
        first = parts[0]
        for part, name in zip(parts, names, strict=True):
            if (part.dtype, part.shape[1:]) != (first.dtype, first.shape[1:]):
                raise DataError(
                    f"{name} holds samples {part.dtype} {part.shape[1:]}, {names[0]} "
                    f"{first.dtype} {first.shape[1:]}: all files of a data set must agree"
                )
        self._parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in parts])
        self.dtype = first.dtype
        self.shape = (int(self._ends[-1]), *first.shape[1:])

    @property
    def files(self) -> tuple[Path, ...]:
        """Where the samples are."""
        found: list[Path] = []
        for part in self._parts:
            found += getattr(part, "files", ())
        return tuple(found)

    def read(self, positions: NDArray[np.int64]) -> NDArray:
        """The samples at some positions, [len(positions), ...]."""
        found = np.empty((len(positions), *self.shape[1:]), self.dtype)
        held = np.searchsorted(self._ends, positions, side="right")
        for number in np.unique(held):
            chosen = held == number
            begin = self._ends[number] - len(self._parts[number])
            found[chosen] = self._parts[number].read(positions[chosen] - begin)
        return found
