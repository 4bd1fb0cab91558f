"""Small networks and data for the tests; the real network and photographs where they are."""

import json
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import keras
import numpy as np
import pytest

from tfqdyn.datasets import Dataset

if TYPE_CHECKING:  # only the tests of experiments need them
    from experiments.engine.store import Job, Store
    from experiments.engine.subjects import Subject

SHARED = Path(__file__).parents[2] / "shared"
UNASKED = ("WARNING: All log messages before absl::InitializeLog()", "I0000 ")
"""Begin the lines in which TensorFlow 2.20, whatever the log level, tells of what it compiled."""


def complaints(stderr: str) -> str:
    """What a program wrote to stderr, without the line of every stage that began.

    Without what nothing stops TensorFlow 2.20 from writing, too.
    """
    unasked = UNASKED if version("tensorflow").startswith("2.20.") else ()
    lines = stderr.splitlines(True)
    stages = {s for s in lines if s.endswith(" ...\n") and not s.startswith("tfqdyn: ")}
    return "".join(s for s in lines if not s.startswith(unasked) and s not in stages)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def randomize(model: keras.Model, seed: int = 0) -> keras.Model:
    """Gives batch norms and biases the values of a trained network instead of 0 and 1."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "gamma" in weight.path or "variance" in weight.path:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif any(role in weight.path for role in ("beta", "mean", "bias")):
            weight.assign(rng.normal(0, 0.2, weight.shape))
    return model


def residual_net(classes: int = 4, size: int = 12) -> keras.Model:
    """Every op of a common CNN: padding, depthwise and grouped convolutions, add, concat, pools."""
    k = keras.layers
    x = inputs = keras.Input((size, size, 3), name="images")
    x = k.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(x)
    x = k.BatchNormalization(name="stem_bn")(x)
    x = skip = k.ReLU(6.0, name="stem_relu")(x)
    x = k.DepthwiseConv2D(3, padding="same", use_bias=False, name="dw")(x)
    x = k.BatchNormalization(name="dw_bn")(x)
    x = k.ReLU(name="dw_relu")(x)
    x = k.Conv2D(8, 1, name="pw")(x)
    x = k.BatchNormalization(scale=False, name="pw_bn")(x)
    x = k.Add(name="add")([x, skip])
    x = k.ReLU(name="add_relu")(x)
    x = k.ZeroPadding2D(((0, 1), (0, 1)), name="pad")(x)
    a = k.Conv2D(8, 3, strides=2, groups=2, activation="relu", name="grouped")(x)
    b = k.AveragePooling2D(2, padding="valid", name="pool")(x)
    x = k.Concatenate(name="concat")([a, b])
    x = k.Dropout(0.5, name="dropout")(x)
    x = k.GlobalAveragePooling2D(name="gap")(x)
    x = k.Dense(classes, activation="softmax", name="logits")(x)
    return randomize(keras.Model(inputs, x, name="residual"))


def forked_net() -> keras.Model:
    """Two pools of one value, one of it moved by a pixel, and two kernels of one shape (NASNet)."""
    k = keras.layers
    inputs = keras.Input((8, 8, 3), name="images")
    x = k.Conv2D(4, 1, activation="relu", name="stem")(inputs)
    a = k.AveragePooling2D(1, strides=2, name="pool_a")(x)
    a = k.Conv2D(4, 1, name="a")(a)
    b = k.ZeroPadding2D(((0, 1), (0, 1)))(x)
    b = k.Cropping2D(((1, 0), (1, 0)))(b)
    b = k.AveragePooling2D(1, strides=2, name="pool_b")(b)
    b = k.Conv2D(4, 1, name="b")(b)
    x = k.GlobalAveragePooling2D(name="gap")(k.Concatenate(name="both")([a, b]))
    return randomize(keras.Model(inputs, k.Dense(3, name="logits")(x), name="forked"))


@pytest.fixture
def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    return residual_net()


def images(count: int, size: int = 12, classes: int = 4, seed: int = 3) -> Dataset:
    """Random uint8 images with labels, for training and for testing."""
    rng = np.random.default_rng(seed)

    def split(n: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.integers(0, 256, (n, size, size, 3)).astype(np.uint8)
        return x, rng.integers(0, classes, n)

    (x_train, y_train), (x_test, y_test) = split(count), split(count)
    return Dataset("random", x_test, y_test, x_train, y_train)


@pytest.fixture
def dataset() -> Dataset:
    return images(24)


@pytest.fixture(scope="session")
def real_mobilenet_file() -> Path:
    path = SHARED / "models" / "mobilenet_v1_1.0_224.keras"
    if not path.exists():
        pytest.skip("the real MobileNet-V1 is not here")
    return path


@pytest.fixture(scope="session")
def real_mobilenet(real_mobilenet_file: Path) -> keras.Model:
    return keras.saving.load_model(real_mobilenet_file, compile=False)


@pytest.fixture(scope="session")
def real_photographs() -> Dataset:
    files = sorted((SHARED / "data" / "imagenet_sample").glob("*.jpg"))
    if not files:
        pytest.skip("the photographs are not here")
    from PIL import Image

    x = np.stack([np.asarray(Image.open(f).convert("RGB")) for f in files])
    return Dataset("photographs", x, np.array([int(f.name[:3]) for f in files], np.int64))


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
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Subject":
    """The network above and 24 random images, in files."""
    from experiments.engine import imagenet
    from experiments.engine.imagenet import SHOWN, NetworkFile, Photographs
    from experiments.engine.subjects import Subject

    monkeypatch.setattr(imagenet, "IMAGE_SIZE", (12, 12))
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
def finish(tmp_path: Path) -> "Callable[..., Store]":
    """Puts a result and files (name -> text) into a job's folder; returns the store."""
    from experiments.engine.store import DONE, Store

    store = Store(tmp_path)

    def put(job: "Job", result: dict[str, Any], **files: str) -> Store:
        folder = store.folder(job)
        folder.mkdir(parents=True, exist_ok=True)
        trained = {"steps": 0, "train_seconds": 0.0, "train_commit": None}
        record = {"result": {**trained, **result}, "code": job.code, "commit": None}
        (folder / DONE).write_text(json.dumps(record))
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text)
        return store

    return put
