"""The model that a path names: a Keras file, or a float .tflite file."""

from pathlib import Path
from typing import Any

from tfqdyn.network import modelfile
from tfqdyn.tflite import floatfile


def load(path: str | Path) -> Any:
    """The model at a path, for analyses and remedies; no code runs out of it.

    Args:
        path: a `.keras` or `.h5` file, or a float `.tflite` file.

    Returns:
        A Keras model, or a `tflite.floatfile.FloatFile`.

    Raises:
        ModelFileError, UnsupportedModelError, TfliteFileError: see `modelfile.load` and
            `floatfile.load`.
    """
    path = Path(path)
    if path.suffix == floatfile.SUFFIX:
        return floatfile.load(path)
    return modelfile.load(path)
