"""Parquet files: a column of samples and a column of class numbers, as data sets are shared today.

Samples are photographs (bytes, or a struct of `bytes` and `path`, as Hugging Face keeps them) or
lists of numbers. They are read one row group at a time when indexed; labels are read at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.datasets.samples import RecordSamples
from tfqdyn.files import memory
from tfqdyn.files.imagefiles import DataError

INPUTS = ("image", "img", "x", "input", "inputs")
"""Columns that samples are looked for in, in this order."""
LABELS = ("label", "labels", "fine_label", "class", "y")
"""The same for labels."""


class ParquetSamples(RecordSamples):
    """The samples of one file; the row group that was read last is kept.

    Args:
        path: the file.
        size: (height, width) that photographs are cropped and resized to.

    Raises:
        DataError: no Parquet file, no column of `INPUTS`, no rows; and see `RecordSamples`.
    """

    UNIT = "row"

    def __init__(self, path: Path, size: tuple[int, int] | None) -> None:
        self._held: tuple[int, Any] | None = None
        with _opened(path) as file:
            self._column = _named(INPUTS, file.schema_arrow.names, path)
            groups = range(file.metadata.num_row_groups)
            self._ends = np.cumsum([file.metadata.row_group(k).num_rows for k in groups])
        if not len(self._ends) or not self._ends[-1]:
            raise DataError(f"{path} holds no rows")
        _check_size(path, 8 * int(self._ends[-1]))  # of the samples' positions alone
        super().__init__(path, size, int(self._ends[-1]))
        self._held = None  # of many files, only those in use keep rows

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}  # rows do not travel, the path does

    def value(self, position: int) -> bytes | NDArray:
        """What the column of the samples holds in a row."""
        value = self._row(position)
        if isinstance(value, dict):
            value = value.get("bytes")
        if isinstance(value, bytes):
            return value
        try:
            found = np.array(value, np.float32)
        except (TypeError, ValueError):
            found = np.empty(0, np.float32)
        if not found.ndim or not found.size:
            raise DataError(
                f"{self._column} of {self.name_of(position)} should be a photograph's bytes or a "
                f"list of numbers, it is {type(value).__name__}"
            )
        return found

    def _row(self, position: int) -> Any:
        group = int(np.searchsorted(self._ends, position, side="right"))
        held = self._held  # threads may replace it meanwhile
        if held is None or held[0] != group:
            with _opened(self._path) as file:
                _check_size(self._path, file.metadata.row_group(group).total_byte_size)
                column = file.read_row_group(group, columns=[self._column]).column(self._column)
            held = self._held = (group, column)
        begin = int(self._ends[group - 1]) if group else 0
        return held[1][position - begin].as_py()


def labels_in(path: Path) -> NDArray[np.int64] | None:
    """The class numbers of a file, [N]; None where no column of `LABELS` is there.

    Raises:
        DataError: no Parquet file, or a label that is no whole number.
    """
    with _opened(path) as file:
        name = next((name for name in LABELS if name in file.schema_arrow.names), None)
        if name is None:
            return None
        _check_size(path, 8 * file.metadata.num_rows)
        column = file.read(columns=[name]).column(name)
        found = np.asarray(column.to_numpy())
    if found.dtype.kind not in "ui":
        raise DataError(f"{name} of {path} should hold whole numbers, it holds {column.type}")
    return found.astype(np.int64)


def _check_size(path: Path, size: int) -> None:
    """Refuses what a file says would not fit into memory."""
    if not size <= memory.total() // 2:
        raise DataError(
            f"{path} has rows that take {memory.words(size)} at once, more than half of the memory "
            f"here ({memory.words(memory.total())}); write it with smaller row groups"
        )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file; what it raises while it is read is said of the file."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise DataError(
            f'{path} needs pyarrow to be read: pip install "tfqdyn[parquet]"'
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except DataError:
        raise
    except (ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}") from error


def _named(names: tuple[str, ...], held: list[str], path: Path) -> str:
    found = next((name for name in names if name in held), None)
    if found is None:
        raise DataError(
            f"{path} should hold its samples in a column {', '.join(names)}; its columns are "
            f"{', '.join(held) or 'none'}"
        )
    return found
