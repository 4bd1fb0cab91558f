"""The model that a path names: a Keras file, a float .tflite file, or a SavedModel folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfqdyn.files import usercode
from tfqdyn.network import modelfile, opening
from tfqdyn.tflite import floatfile

FLAG = "import"
"""The flag that names modules; in Python `modules`."""


def load(path: str | Path, modules: Sequence[str] = ()) -> Any:
    """The model at a path, for analyses and remedies; no code runs out of it.

    Args:
        path: a `.keras` or `.h5` file, a float `.tflite` file, or the folder of a SavedModel.
        modules: imported first, from the current folder too: their code runs, and so does that of
            the layers that they register with Keras (`keras.saving.register_keras_serializable`).

    Returns:
        A Keras model, or a `tflite.floatfile.FloatFile`.

    Raises:
        UserCodeError: a module cannot be imported, or the path is no Keras file.
        ModelFileError, UnsupportedModelError, TfliteFileError, ConversionError: see
            `modelfile.load`, `floatfile.load` and `savedmodel.load`.
    """
    path = Path(path)
    if modules and path.suffix not in modelfile.SUFFIXES:
        raise usercode.UserCodeError(
            f"--{FLAG} registers layers of a .keras or .h5 file, received the model {str(path)!r}"
        )
    if path.suffix == floatfile.SUFFIX:
        return floatfile.load(path)
    if path.is_dir():
        from tfqdyn.quantization import savedmodel  # heavy

        return savedmodel.load(path)
    return modelfile.load(path, _registered(modules))


def _registered(modules: Sequence[str]) -> Mapping[str, Any]:
    """Layers that are registered with Keras once the modules are imported, less its own."""
    if not modules:
        return {}
    import keras  # heavy

    for name in modules:
        usercode.module_named(name, FLAG)
    found = keras.saving.get_custom_objects().items()
    return {
        name: kind
        for name, kind in found
        if isinstance(kind, type) and issubclass(kind, keras.Layer) and opening.is_own(kind)
    }
