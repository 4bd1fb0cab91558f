"""The model that a path names: a Keras file, a float .tflite file, or a SavedModel folder."""

from pathlib import Path
from typing import Any

from tfqdyn.network import modelfile
from tfqdyn.tflite import floatfile


def load(path: str | Path) -> Any:
    """The model at a path, for analyses and remedies; no code runs out of it.

    Args:
        path: a `.keras` or `.h5` file, a float `.tflite` file, or the folder of a SavedModel.

    Returns:
        A Keras model, or a `tflite.floatfile.FloatFile`.

    Raises:
        ModelFileError, UnsupportedModelError, TfliteFileError, ConversionError: see
            `modelfile.load`, `floatfile.load` and `savedmodel.load`.
    """
    path = Path(path)
    if path.suffix == floatfile.SUFFIX:
        return floatfile.load(path)
    if path.is_dir():
        from tfqdyn.quantization import savedmodel  # heavy

        return savedmodel.load(path)
    return modelfile.load(path)
