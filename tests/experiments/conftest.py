"""A network with a dead channel and its images, in files; finished jobs without any work."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from experiments.imagenet import SHOWN, NetworkFile, Photographs
from experiments.store import DONE, Job, Store
from experiments.subjects import Subject


def dead_channel_net(size: int = 12, classes: int = 6) -> keras.Model:
    """A depthwise layer of four channels; the second's kernel and variance are zero."""
    k = keras.layers
    keras.utils.set_random_seed(2)
    inputs = keras.Input((size, size, 3), name="images")
    x = k.Conv2D(4, 3, padding="same", name="conv1")(inputs)
    x = k.ReLU(6.0, name="conv1_relu")(x)
    x = k.DepthwiseConv2D(3, padding="same", use_bias=False, name="conv_dw_1")(x)
    x = k.BatchNormalization(epsilon=0.01, name="conv_dw_1_bn")(x)
    x = k.ReLU(6.0, name="conv_dw_1_relu")(x)
    x = k.GlobalAveragePooling2D(name="pool")(x)
    x = k.Dense(classes, activation="softmax", name="predictions")(x)
    model = keras.Model(inputs, x)
    kernel = model.get_layer("conv_dw_1").get_weights()[0]
    kernel[:, :, 1] = 0.0
    model.get_layer("conv_dw_1").set_weights([kernel])
    gamma, beta, mean = [2.0, 3.0, 1.0, 4.0], [0.1, 0.2, 0.3, 0.4], [0.0] * 4
    variance = [0.09, 0.0, 0.24, 3.99]
    weights = [np.array(w, np.float32) for w in (gamma, beta, mean, variance)]
    model.get_layer("conv_dw_1_bn").set_weights(weights)
    return model


@pytest.fixture
def small(tmp_path: Path) -> Subject:
    """The network above and 24 random images, in files."""
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (24, 12, 12, 3)).astype(np.uint8)
    np.savez(tmp_path / "images.npz", x_test=images, y_test=np.arange(24) % 6)
    dead_channel_net().save(tmp_path / "net.keras")
    network = NetworkFile("mobilenet_v1", "a", str(tmp_path / "net.keras"))
    return Subject(
        network,
        Photographs("b", str(tmp_path / "images.npz")),
        "tf",
        SHOWN["mobilenet_v1"],
        "MobileNet",
    )


@pytest.fixture
def finish(tmp_path: Path) -> Callable[..., Store]:
    """Puts a result and files (name -> text) into a job's folder; returns the store."""
    store = Store(tmp_path)

    def put(job: Job, result: dict[str, Any], **files: str) -> Store:
        folder = store.folder(job)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DONE).write_text(json.dumps({"result": result}))
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text)
        return store

    return put
