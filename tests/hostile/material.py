"""What the damage is done to: small networks, images and results, made by the library itself."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfqdyn import datasets, pipeline, results
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset

SIZE = (8, 8)
"""Height and width of the networks' images."""
CONFIG = AnalysisConfig(trials=1, calibration_size=3, batch_size=4, threads=1)
SCHEMES = ("uint8", "int8", "float32", "dynamic", "int16x8")


def networks() -> dict[str, keras.Model]:
    """A network of each form that descriptions have."""
    k = keras.layers
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((*SIZE, 3), name="images")
    x = k.Conv2D(4, 3, padding="same", use_bias=False, name="stem")(x)
    x = k.BatchNormalization(name="stem_bn")(x)
    x = skip = k.ReLU(6.0, name="relu")(x)
    x = k.DepthwiseConv2D(3, padding="same", name="dw")(x)
    x = k.Rescaling(0.5, name="half")(k.Add(name="add")([x, skip]))
    x = k.Concatenate(name="both")([k.MaxPooling2D(2)(x), k.AveragePooling2D(2)(x)])
    x = k.GlobalAveragePooling2D(name="gap")(x)
    functional = keras.Model(inputs, k.Dense(3, activation="softmax", name="scores")(x), name="f")
    sequential = keras.Sequential(
        [
            keras.Input((*SIZE, 3)), k.Conv2D(4, 3, strides=2, activation="relu"), k.Flatten(),
            k.Dense(3),
        ],
        name="s",
    )  # fmt: skip
    inner = keras.Sequential([keras.Input((*SIZE, 3)), k.Conv2D(2, 1), k.BatchNormalization()])
    first = keras.Input((*SIZE, 3))
    nested = keras.Model(first, k.Dense(3)(k.Flatten()(inner(first))), name="n")
    return {"f": functional, "s": sequential, "n": nested}


def images() -> Dataset:
    """Six images with labels, all there is."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (6, *SIZE, 3)).astype(np.uint8)
    return Dataset("random", x, np.arange(6) % 3)


def write(folder: Path) -> None:
    """Writes it all: f.keras, f.h5, ... ; d.npz; uint8.tflite, ...; run/results.json; secret."""
    from PIL import Image

    made, data = networks(), images()
    for name, model in made.items():
        model.save(folder / f"{name}.keras")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that .h5 is old
            model.save(folder / f"{name}.h5")
    np.savez(folder / "d.npz", x_test=data.x_test, y_test=data.y_test)
    np.savez_compressed(folder / "small.npz", x_test=data.x_test, y_test=data.y_test)
    for scheme in SCHEMES:
        done = pipeline.analyze(made["f"], data, replace(CONFIG, scheme=scheme))
        (folder / f"{scheme}.tflite").write_bytes(done.tflite[0])
    run = pipeline.analyze(made["f"], data, replace(CONFIG, own_error=True, trials=2))
    results.write(run, folder / "run")
    for form in ("png", "jpg", "gif", "bmp", "webp", "tiff", "ppm", "ico", "pdf", "eps"):
        Image.fromarray(np.asarray(data.x_test[0])).resize((40, 30)).save(folder / f"i.{form}")
    (folder / "secret").write_text("a\nb\n")


class Material:
    """Reads it again, each file once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, bytes] = {}
        self._network: Any = None

    def content(self, name: str) -> bytes:
        """The bytes of a file."""
        if name not in self._read:
            self._read[name] = (self.folder / name).read_bytes()
        return self._read[name]

    def record(self) -> Any:
        """What `results.json` of a run holds."""
        return json.loads(self.content("run/results.json"))

    @property
    def network(self) -> Any:
        """The functional network, undamaged."""
        from tfqdyn.network import modelfile

        if self._network is None:
            self._network = modelfile.load(self.folder / "f.keras")
        return self._network

    @property
    def data(self) -> Dataset:
        """The images, undamaged."""
        return datasets.load(str(self.folder / "d.npz"), SIZE)
