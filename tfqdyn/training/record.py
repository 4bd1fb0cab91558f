"""`run.json`: what a run is, which never changes, and how it stands.

What a recipe leaves as it is (None) is no part of the record, so that a run goes on under a later
version whose recipes can say more.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfqdyn import datasets
from tfqdyn.training.files import write_json
from tfqdyn.training.recipes import Recipe

DIGESTED_IMAGES = 256


class RunRecord:
    """The record in the run's folder, read at the start and written at each change."""

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        """Reads the record, if there is one.

        Raises:
            ValueError: If the folder holds a run of another identity; the message says in what.
        """
        self._path = path
        self._values: dict[str, Any] = {"status": "new", "reason": "", "epochs_done": 0}
        identity = json.loads(json.dumps(identity))
        if path.exists():
            found = json.loads(path.read_text())
            differing = [key for key in identity if found["identity"].get(key) != identity[key]]
            if differing:
                raise ValueError(
                    f"{path.parent} holds another run: {', '.join(differing)} differ(s). "
                    + " ".join(
                        f"{key}: found {found['identity'].get(key)}, asked for {identity[key]}."
                        for key in differing
                    )
                    + " Choose another workdir, or delete this one."
                )
            self._values.update(found)
        self._values["identity"] = identity

    @property
    def status(self) -> str:
        """`"new"`, `"running"`, or how the run ended (`loop.TrainingResult`)."""
        return self._values["status"]

    @property
    def reason(self) -> str:
        """The status in words."""
        return self._values["reason"]

    @property
    def epochs_done(self) -> int:
        """Epochs done when the record was last written."""
        return self._values["epochs_done"]

    def update(self, **values: object) -> None:
        """Changes values and writes the record."""
        self._values.update(values)
        write_json(self._path, self._values)


def identity_of(
    network: keras.Model,
    dataset: datasets.Dataset,
    recipe: Recipe,
    seed: int,
    preprocessing: str,
) -> dict[str, Any]:
    """What must not change between the parts of a run that is continued."""
    return {
        "network": network.name,
        "parameters": network.count_params(),
        "structure_sha256": structure_digest(network),
        "train_images": len(dataset.x_train),
        "train_sha256": _digest_images(dataset.x_train, dataset.y_train),
        "recipe": {name: value for name, value in asdict(recipe).items() if value is not None},
        "seed": seed,
        "preprocessing": preprocessing,
    }


def structure_digest(network: keras.Model) -> str:
    """SHA-256 of what is built: the layers' classes, configurations and connections, in order.

    Configurations name initializers, dropout and penalties too. Names of layers and modules, and
    the values of weights, are no part of it.

    Args:
        network: Functional or sequential.
    """
    makers = {
        id(tensor): place
        for place, layer in enumerate(network.layers)
        for tensor in keras.tree.flatten(layer.output)
    }
    layers = [
        {
            "class": type(layer).__name__,
            "config": _without_ids(layer.get_config()) | {"name": None},
            "reads": [makers.get(id(tensor)) for tensor in keras.tree.flatten(layer.input)],
        }
        for layer in network.layers
    ]
    return hashlib.sha256(json.dumps(layers, default=str, sort_keys=True).encode()).hexdigest()


def _without_ids(config: Any) -> Any:
    """The configuration without the object identities and modules that Keras writes into it."""
    if isinstance(config, dict):
        left_out = ("shared_object_id", "module")
        return {k: _without_ids(v) for k, v in config.items() if k not in left_out}
    return [_without_ids(item) for item in config] if isinstance(config, list | tuple) else config


def _digest_images(images: Any, labels: Any) -> str:
    """SHA-256 of all labels and of some images, spread evenly (all may be long on disk)."""
    chosen = np.linspace(0, len(labels) - 1, num=min(len(labels), DIGESTED_IMAGES), dtype=np.int64)
    digest = hashlib.sha256(np.ascontiguousarray(labels, np.int64).tobytes())
    digest.update(np.ascontiguousarray(images[chosen]).tobytes())
    return digest.hexdigest()
