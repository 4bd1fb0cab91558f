"""Photographs that stay in their files until they are indexed."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        return np.stack(
            [
                decoded(self.files[position], self.size, self.files[position])
                for position in positions
            ]
        )


def decoded(source: Any, size: tuple[int, int], name: object) -> NDArray[np.uint8]:
    """One photograph, [H, W, 3]: upright, centre-cropped to the aspect of a size, then resized.

    Args:
        source: a file, or a stream of its bytes.
        size: (height, width).
        name: of the photograph, for errors.

    Raises:
        DataError: it is none of `FORMATS`, damaged, or of more than 89 million pixels.
    """
    from PIL import Image, ImageOps  # only photographs need it

    height, width = size
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(source, formats=FORMATS)
        with image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        fitted = ImageOps.fit(upright, (width, height), Image.Resampling.BILINEAR)
    except Exception as error:  # decoders raise whatever the damage leads them to
        raise DataError(f"{name} is not a readable image: {error}") from error
    return np.asarray(fitted)
