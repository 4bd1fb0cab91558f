"""Images that stay in their files until they are indexed: in an archive, or as photographs.

Both support `len`, `shape` and indexing with indices, like an array [N, H, W, C] in memory.
"""

import os
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class DataError(ValueError):
    """The data cannot be used; the message says what was expected and what came."""


@dataclass(frozen=True)
class ArchivedImages:
    """Images that an archive stores uncompressed, read from the file when indexed.

    Attributes:
        path: the archive.
        dtype: of the images.
        shape: [N, H, W, C], or [N, H, W].
        offset: of the first image in the file, in bytes.
    """

    path: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: Sequence[int]) -> NDArray:
        one = self.shape[1:]
        size = int(np.prod(one)) * self.dtype.itemsize
        with self.path.open("rb") as stream:
            read = []
            for index in indices:
                stream.seek(self.offset + int(index) * size)
                read.append(np.frombuffer(stream.read(size), self.dtype).reshape(one))
        return np.stack(read)


def member(path: Path, key: str, archive: Any) -> Any:
    """An array of an archive; images that it stores uncompressed stay in the file."""
    info = archive.zip.getinfo(f"{key}.npy")
    if key.startswith("y") or info.compress_type != zipfile.ZIP_STORED:
        return archive[key]
    with path.open("rb") as stream:
        stream.seek(info.header_offset)
        header = stream.read(30)  # the zip format's local header, then name and extra field
        stream.seek(sum(struct.unpack("<HH", header[26:30])), os.SEEK_CUR)
        version = np.lib.format.read_magic(stream)
        if version not in _HEADER_READERS:
            return archive[key]
        shape, fortran_order, dtype = _HEADER_READERS[version](stream)
        offset = stream.tell()
    if dtype.hasobject or fortran_order or len(shape) != 4:
        return archive[key]
    end = offset + dtype.itemsize * int(np.prod(shape))
    if end > path.stat().st_size:
        raise ValueError(f"{key} should end at byte {end}, the file ends before")
    return ArchivedImages(path, dtype, shape, offset)


_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class FolderImages:
    """Photographs on disk, decoded when indexed: centre-cropped to the aspect, then resized."""

    files: tuple[Path, ...]
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """[N, H, W, 3]."""
        return (len(self.files), *self.size, 3)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        return np.stack([self._read(self.files[int(i)]) for i in indices])

    def _read(self, file: Path) -> NDArray[np.uint8]:
        from PIL import Image, ImageOps, UnidentifiedImageError  # only folders need it

        try:
            with Image.open(file) as image:
                upright = ImageOps.exif_transpose(image).convert("RGB")
        except (OSError, UnidentifiedImageError) as error:
            raise DataError(f"{file} is not a readable image: {error}") from error
        height, width = self.size
        fitted = ImageOps.fit(upright, (width, height), Image.Resampling.BILINEAR)
        return np.asarray(fitted)
