"""Arrays in an `.npz` archive, told before they are read: their headers may not promise too much.

Images that the archive stores uncompressed stay in the file until they are indexed.
"""

import lzma
import math
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.files import memory
from tfqdyn.files.filearray import FileArray

ZIP_ERRORS = (
    OSError, ValueError, EOFError, RuntimeError, KeyError, struct.error, zipfile.BadZipFile,
    zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What the standard library raises for an archive that is damaged, encrypted or of new forms."""
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class StoredArray:
    """An array of an archive that is not read yet.

    Attributes:
        path: the archive.
        name: the array's, without ".npy".
        dtype, shape: as its header tells; the archive holds as many bytes.
        fortran_order: whether the first axis runs fastest.
        start: of the header's end in the file, in bytes; None where the array is compressed.
    """

    path: Path
    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    fortran_order: bool
    start: int | None

    def read(self) -> NDArray:
        """The array.

        Raises:
            ValueError: it would not fit into memory.
            One of `ZIP_ERRORS`: it is damaged.
        """
        size = self.dtype.itemsize * math.prod(self.shape)
        if size > memory.total() // 2:
            raise ValueError(
                f"{self.name} takes {memory.words(size)}, more than half of the memory here "
                f"({memory.words(memory.total())}); save images uncompressed, with np.savez"
            )
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{self.name}.npy") as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
            stream.read()  # to the end, where the checksum is
        return array


@dataclass(frozen=True)
class ArchivedImages(FileArray):
    """Images that an archive stores uncompressed, read from the file when indexed.

    Attributes:
        path: the archive.
        dtype: of the images.
        shape: [N, ...], of images [N, H, W, C].
        offset: of the first sample in the file, in bytes.
    """

    path: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int

    @property
    def files(self) -> tuple[Path, ...]:
        """Where the images are."""
        return (self.path,)

    def reshape(self, *shape: int) -> "ArchivedImages":
        """The same numbers in another shape with as many samples."""
        if shape[0] != self.shape[0] or math.prod(shape) != math.prod(self.shape):
            raise ValueError(f"cannot take {self.shape} as {shape}")
        return replace(self, shape=shape)

    def read(self, positions: NDArray[np.int64]) -> NDArray:
        """The samples at some positions, [len(positions), ...]."""
        one = self.shape[1:]
        size = math.prod(one) * self.dtype.itemsize
        with self.path.open("rb") as stream:
            read = []
            for position in positions:
                stream.seek(self.offset + int(position) * size)
                content = stream.read(size)
                if len(content) < size:
                    raise OSError(f"{self.path} became shorter while it was read")
                read.append(np.frombuffer(content, self.dtype).reshape(one))
        return np.stack(read)


def images_of(array: StoredArray) -> Any:
    """Samples [N, ...]: in the file, where it stores them uncompressed and in this order."""
    if array.start is None or array.fortran_order or len(array.shape) < 2:
        return array.read()
    return ArchivedImages(array.path, array.dtype, array.shape, array.start)


def names_in(path: Path) -> list[str]:
    """Names of all that an archive holds.

    Raises:
        One of `ZIP_ERRORS`: the archive is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def arrays_in(path: Path, names: Sequence[str]) -> tuple[dict[str, StoredArray], list[str]]:
    """Those arrays of an archive that are asked for, and the names of all that it holds.

    Raises:
        ValueError: a member is no array of numbers, or has another size than its header tells.
        One of `ZIP_ERRORS`: the archive is damaged.
    """
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        held = [name.removesuffix(".npy") for name in archive.namelist()]
        found = {name: _stored(path, file, archive, name) for name in names if name in held}
    return found, held


def _stored(path: Path, file: Any, archive: zipfile.ZipFile, name: str) -> StoredArray:
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise ValueError(f"{name} is in version {version} of NumPy's format")
        with _quiet(name):
            shape, fortran_order, dtype = _HEADERS[version](stream)
        header = stream.tell()
    told = dtype.itemsize * math.prod(shape)
    if dtype.kind not in "uif" or min(shape, default=0) < 0:
        raise ValueError(f"{name} should hold numbers, it holds {dtype} of shape {shape}")
    if header + told != info.file_size:
        raise ValueError(
            f"{name} should take {told:,} bytes by its header, the archive has "
            f"{info.file_size - header:,}"
        )
    start = None
    if info.compress_type == zipfile.ZIP_STORED:
        file.seek(info.header_offset)
        local = file.read(30)  # the zip format's local header, then name and extra field
        start = info.header_offset + 30 + sum(struct.unpack("<HH", local[26:30])) + header
        if start + told > os.fstat(file.fileno()).st_size:
            raise ValueError(f"{name} should end at byte {start + told:,}, the file ends before")
    return StoredArray(path, name, dtype, shape, fortran_order, start)


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """NumPy reads headers as Python literals, warns of old ones, and raises many kinds."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        raise ValueError(f"the header of {name} is damaged: {error}") from error
