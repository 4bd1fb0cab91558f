"""Reads a Keras model from a `.keras` or `.h5` file without running code that the file brings.

What the file's own description names is checked first: a Lambda layer, or a class from outside
Keras, is refused before anything is loaded. `.h5` files that Keras 3 refuses (Keras 2 wrote layer
arguments that are gone) are read through tf_keras, which the analysis takes as it is.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfqdyn.trace import UnsupportedModelError

KERAS_MODULES = ("keras", "tf_keras", "builtins")
OWN_MODULE = "tfqdyn.regularizers"
"""Our own classes that a model file may name."""


class ModelFileError(ValueError):
    """The file is not a Keras model that can be read."""


def load(path: str | Path) -> Any:
    """The model in a file: a Keras 3 model, or a tf_keras one where Keras 3 refuses the file.

    Raises:
        ModelFileError: missing, of another kind, damaged, or with NaN or infinite weights.
        UnsupportedModelError: the file names code that is not Keras' own.
    """
    path = Path(path)
    if not path.exists():
        raise ModelFileError(f"model {str(path)!r} does not exist")
    if path.suffix not in (".keras", ".h5", ".hdf5") or path.is_dir():
        raise ModelFileError(
            f"expected a .keras or .h5 file, received {str(path)!r}; save the model with "
            "model.save('name.keras')"
        )
    description = _archive_description(path) if path.suffix == ".keras" else _h5_description(path)
    _refuse_foreign_code(description)
    model = _load_keras(path)
    _check_weights(model)
    return model


def _archive_description(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            if damaged:
                raise ModelFileError(f"{path} is damaged at {damaged}")
            return json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, OSError, ValueError) as error:
        raise ModelFileError(f"{path} is not a readable .keras file: {error}") from error


def _h5_description(path: Path) -> Any:
    import h5py  # comes with Keras; only .h5 files need it

    try:
        with h5py.File(path, "r") as file:
            if "model_config" not in file.attrs:
                raise ModelFileError(
                    f"{path} holds weights, but no model; save the whole model, not its weights"
                )
            stored: Any = file.attrs["model_config"]
    except OSError as error:
        raise ModelFileError(f"{path} is not a readable .h5 file: {error}") from error
    return json.loads(stored.decode() if isinstance(stored, bytes) else stored)


def _refuse_foreign_code(description: Any) -> None:
    foreign = []
    for entry in _dictionaries(description):
        name = entry.get("class_name")
        module = str(entry.get("module") or "keras")
        if name == "Lambda":
            foreign.append(f"Lambda layer {entry.get('config', {}).get('name')!r}")
        elif name in ("function", "class") and entry.get("module") == "builtins":
            foreign.append(f"a Python {name} ({entry.get('config')!r})")
        elif (
            isinstance(name, str)
            and module.split(".")[0] not in KERAS_MODULES
            and (module != OWN_MODULE)
        ):
            foreign.append(f"{module}.{name}")
    if foreign:
        raise UnsupportedModelError(
            "the model file names code that is not Keras' own, which is not run: "
            + ", ".join(sorted(set(foreign)))
            + "; rebuild the model from standard layers"
        )


def _dictionaries(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _dictionaries(item)


def _load_keras(path: Path) -> Any:
    import keras  # heavy; the checks above need no Keras

    import tfqdyn.regularizers  # noqa: F401 (files may name them)

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for a file that it cannot read
        if path.suffix == ".keras":
            raise ModelFileError(f"Keras cannot read {path}: {error}") from error
        refusal = error
    import tf_keras  # only what Keras 3 refuses needs it

    try:
        return tf_keras.models.load_model(path, compile=False)
    except Exception as error:
        raise ModelFileError(
            f"neither Keras 3 ({refusal}) nor tf_keras ({error}) can read {path}"
        ) from error


def _check_weights(model: Any) -> None:
    broken = [
        getattr(weight, "path", weight.name)
        for weight, value in zip(model.weights, model.get_weights(), strict=True)
        if not np.isfinite(np.asarray(value, np.float64)).all()
    ]
    if broken:
        raise ModelFileError("weights are NaN or infinite: " + ", ".join(broken))
