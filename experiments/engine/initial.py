"""A network before its training: what is built, from which seed, known by what that comes to."""

import functools
import hashlib
import json
import os
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from experiments.engine.image_sets import Source
from experiments.engine.networks import Options
from experiments.engine.provenance import code_of
from tfqdyn.files import wholefiles

SAMPLED = 8
"""Values of each weight that a digest holds, in two digits: enough to tell seeds and initializers
apart, and so few that the last bits of another machine's random numbers do not show."""


@dataclass(frozen=True)
class Initial:
    """A network with its initial weights.

    Attributes:
        arch: the builder in `models`.
        options: its arguments, sorted by name.
        source: images, whose shape and classes decide input and output.
        seed: of the weights.
    """

    arch: str
    options: Options
    source: Source
    seed: int

    def arguments(self) -> dict[str, Any]:
        """All arguments of the builder."""
        data = self.source.load()
        shape = {"input_shape": tuple(data.x_test.shape[1:]), "num_classes": data.num_classes}
        return {**shape, **dict(self.options)}

    def build(self) -> Any:
        """The Keras model, as `tfqdyn.training.train` begins with it; it sets the global seed."""
        import keras

        import models

        keras.utils.set_random_seed(self.seed)
        return models.BUILDERS[self.arch](**self.arguments())

    def digest(self) -> str:
        """SHA-256 of seed, structure (`structure_digest`) and samples of the initial weights.

        Code that builds the same network may be written in any way. Building takes seconds, so
        digests are kept in ~/.cache/tfqdyn, by all that decides them.
        """
        return _digest(self)


@functools.cache
def _digest(initial: Initial) -> str:
    arguments = json.dumps([initial.arch, initial.arguments(), initial.seed], sort_keys=True)
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    keras = f"keras {metadata.version('keras')} on {backend} {metadata.version(backend)}"
    code = code_of("models", "tfqdyn.training.record", Initial, _digest, _sampled)
    named = hashlib.sha256(" ".join((arguments, keras, code)).encode()).hexdigest()
    path = _cache() / named
    if path.is_file():
        return path.read_text()
    network = initial.build()
    from tfqdyn.training.record import structure_digest

    known = [initial.seed, structure_digest(network), [_sampled(w) for w in network.weights]]
    digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    wholefiles.write(path, digest.encode())
    return digest


def _sampled(weight: Any) -> list[Any]:
    """Shape, and values spread over a weight."""
    import keras

    values = np.asarray(keras.ops.convert_to_numpy(weight)).ravel()
    chosen = values[np.linspace(0, len(values) - 1, SAMPLED, dtype=np.int64)]
    return [list(weight.shape), [f"{value:.1e}" for value in chosen]]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tfqdyn" / "networks"
