"""Photographs that stay in their files until they are indexed."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfqdyn.files.filearray import FileArray

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")
"""Pillow's names of what is decoded, whatever a file is called."""


class DataError(ValueError):
    """The data cannot be used; the message says what was expected and what came."""


@dataclass(frozen=True)
class FolderImages(FileArray):
    """Photographs on disk, decoded when indexed: centre-cropped to the aspect, then resized.

    Raises:
        DataError: when indexed, for a file that is none of `FORMATS`, damaged, or of more than 89
            million pixels.
    """

    files: tuple[Path, ...]
    size: tuple[int, int]

    dtype = np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, int, int, int]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """[N, H, W, 3]."""
        return (len(self.files), *self.size, 3)

    def read(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The photographs at some positions, [len(positions), H, W, 3]."""
        return np.stack([self._decoded(self.files[position]) for position in positions])

    def _decoded(self, file: Path) -> NDArray[np.uint8]:
        from PIL import Image, ImageOps  # only folders need it

        height, width = self.size
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = Image.open(file, formats=FORMATS)
            with image:
                upright = ImageOps.exif_transpose(image).convert("RGB")
            fitted = ImageOps.fit(upright, (width, height), Image.Resampling.BILINEAR)
        except Exception as error:  # decoders raise whatever the damage leads them to
            raise DataError(f"{file} is not a readable image: {error}") from error
        return np.asarray(fitted)
