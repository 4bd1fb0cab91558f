"""Reads a Keras model from a `.keras` or `.h5` file; no code runs out of it.

The file's description is read as data, and the network is built from what that gives: layers that
the analysis knows, with plain arguments (`description`). Keras never reads the description; it only
puts the stored weights into the network. Before, libhdf5 reads them in a process of its own
(`weightfile`), and a layer that needs more weights than the file holds is not built.

`.h5` files whose layers Keras 3 refuses (Keras 2 had arguments that are gone) are built with
tf_keras, which the analysis takes as it is.
"""

import json
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from tfqdyn.files.apart import ApartError
from tfqdyn.files.archives import ZIP_ERRORS
from tfqdyn.files.quoting import brief
from tfqdyn.network import weightfile
from tfqdyn.network.description import Builder, Network, read
from tfqdyn.network.description import ModelFileError as ModelFileError

SUFFIXES = (".keras", ".h5", ".hdf5")
WEIGHTS = "model.weights.h5"
"""The weights in a `.keras` archive."""


def load(path: str | Path, registered: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """The model in a file, for inference: without initializers, regularizers and the like.

    Args:
        path: a `.keras` or `.h5` file.
        registered: classes of layers that are not Keras' own, by the names under which they are
            registered with it; their code runs if the file names them.

    Returns:
        A Keras 3 model; a tf_keras one where Keras 3 refuses the layers of an `.h5` file.

    Raises:
        ModelFileError: missing, of another kind, damaged, or with NaN or infinite weights.
        UnsupportedModelError: it names code that is not Keras' own, or layers that the analysis
            does not cover.
    """
    path = Path(path)
    if not path.exists():
        raise ModelFileError(f"model {str(path)!r} does not exist")
    if path.suffix not in SUFFIXES or not path.is_file():
        raise ModelFileError(
            f"expected a .keras or .h5 file, a float .tflite file or the folder of a SavedModel, "
            f"received {str(path)!r}; save the model with model.save('name.keras')"
        )
    read_file = _from_archive if path.suffix == ".keras" else _from_h5
    model = read_file(path, registered)
    _check_weights(model)
    return model


def _from_archive(path: Path, registered: Mapping[str, Any]) -> Any:
    network, size = _described(path, registered)
    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                weights = Path(archive.extract(WEIGHTS, folder))
        except ZIP_ERRORS as error:
            raise ModelFileError(f"{path} is not a readable .keras file: {brief(error)}") from error
        _contents(weights, f"{WEIGHTS} in {path}")
        import keras  # heavy; the checks above need no Keras

        try:
            return _filled(Builder(keras, size, registered), network, weights)
        except ModelFileError:
            raise
        except Exception as error:  # Keras raises many kinds for what it cannot build
            raise ModelFileError(f"Keras cannot read {path}: {brief(error)}") from error


def _described(path: Path, registered: Mapping[str, Any]) -> tuple[Network, int]:
    """What an archive describes, and how many bytes of weights it holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if names.count("config.json") != 1 or names.count(WEIGHTS) != 1:
                raise ValueError(f"it should hold config.json and {WEIGHTS} and holds {names[:9]}")
            config, weights = archive.getinfo("config.json"), archive.getinfo(WEIGHTS)
            if config.file_size > weightfile.DESCRIPTION_LIMIT:
                raise ValueError(f"its config.json has {config.file_size:,} bytes")
            if weights.file_size > path.stat().st_size:
                raise ValueError(f"its {WEIGHTS} is compressed; save the model with Keras")
            description = archive.read(config)
    except ZIP_ERRORS as error:
        raise ModelFileError(f"{path} is not a readable .keras file: {brief(error)}") from error
    return _network(path, description, registered), weights.file_size


def _from_h5(path: Path, registered: Mapping[str, Any]) -> Any:
    found = _contents(path, str(path))
    if found.description is None:
        raise ModelFileError(
            f"{path} holds weights, but no model; save the whole model, not its weights"
        )
    if path.name.endswith(".weights.h5"):
        raise ModelFileError(
            f"{path} holds a model, but Keras reads only weights from files of such names; rename "
            "it to end in .h5 alone"
        )
    network = _network(path, found.description, registered)
    import keras

    try:
        return _filled(Builder(keras, found.size, registered), network, path)
    except ModelFileError:
        raise
    except Exception as error:
        refusal = error
    import tf_keras  # only what Keras 3 refuses needs it

    try:
        return _filled(Builder(tf_keras, found.size, registered), network, path)
    except ModelFileError:
        raise
    except Exception as error:
        raise ModelFileError(
            f"neither Keras 3 ({brief(refusal)}) nor tf_keras ({brief(error)}) can read {path}"
        ) from error


def _network(path: Path, description: str | bytes, registered: Mapping[str, Any]) -> Network:
    try:
        record = json.loads(description)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(
            f"the description of the model in {path} is no JSON: {brief(error)}"
        ) from error
    return read(record, registered)


def _contents(path: Path, what: str) -> weightfile.Contents:
    try:
        return weightfile.contents(path)
    except (ValueError, ApartError) as error:
        raise ModelFileError(f"{what} is not a readable .h5 file: {brief(error)}") from error


def _filled(builder: Builder, network: Network, weights: Path) -> Any:
    """The network as a model, with the weights of a file."""
    model = builder.model(network)
    model.load_weights(weights)
    return model


def _check_weights(model: Any) -> None:
    broken = [
        getattr(weight, "path", weight.name)
        for weight, value in zip(model.weights, model.get_weights(), strict=True)
        if not np.isfinite(np.asarray(value, np.float64)).all()
    ]
    if broken:
        raise ModelFileError("weights are NaN or infinite: " + ", ".join(broken))
