"""SavedModel folders: read as data, then converted to a float file; code in them is not run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfqdyn import modelsource
from tfqdyn.network.modelfile import ModelFileError
from tfqdyn.network.rebuild import to_keras
from tfqdyn.network.trace import UnsupportedModelError, trace


class Subclassed(keras.Model):
    """A network that only Python code describes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = keras.layers.Conv2D(4, 3, activation="relu")
        self.pool = keras.layers.GlobalAveragePooling2D()
        self.scores = keras.layers.Dense(3)

    def call(self, images: Any) -> Any:
        return self.scores(self.pool(self.conv(images)))


def saved(run: Callable[[Any], Any], folder: Path, *owned: Any, size: int | None = 8) -> Path:
    """A function of images as a SavedModel."""
    module: Any = tf.Module()
    module.owned = owned
    spec = tf.TensorSpec((None, size, size, 2), tf.float32)
    module.run = tf.function(run, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures=module.run)
    return folder


def test_a_subclassed_model_is_refused_with_the_way_and_the_way_works(tmp_path: Path) -> None:
    model = Subclassed()
    images = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype(np.float32)
    wanted = np.asarray(model(images))
    with pytest.raises(UnsupportedModelError, match=r"export.*folder"):
        trace(model)
    model.save(tmp_path / "net.keras")
    with pytest.raises(UnsupportedModelError, match=r"export.*folder"):
        modelsource.load(tmp_path / "net.keras")
    spec = keras.InputSpec(shape=(None, 8, 8, 2), dtype="float32")
    model.export(tmp_path / "net", input_signature=[spec], verbose=False)
    graph = modelsource.load(tmp_path / "net").graph
    assert [row.kind for row in graph.rows] == ["conv", "mean", "dense"]
    np.testing.assert_allclose(to_keras(graph)(images), wanted, rtol=1e-4, atol=1e-5)


def _writes(x: Any) -> Any:
    tf.io.write_file("written", "x")
    return tf.reduce_mean(x, (1, 2))


def _reads(x: Any) -> Any:
    length = tf.strings.length(tf.io.read_file("/etc/hostname"))
    return tf.reduce_mean(x, (1, 2)) + tf.cast(length, tf.float32)


def _calls(x: Any) -> Any:
    return tf.ensure_shape(tf.numpy_function(lambda v: v, [x], tf.float32), x.shape)


@pytest.mark.parametrize(
    ("run", "named"), [(_writes, "WriteFile"), (_reads, "ReadFile"), (_calls, "PyFunc")]
)
def test_what_would_run_code_is_refused(run: Any, named: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=f"does more than compute.*{named}"):
        modelsource.load(saved(run, tmp_path / "net"))
    assert not Path("written").exists()


def test_tables_which_loading_would_fill_are_refused(tmp_path: Path) -> None:
    keys, values = tf.constant([1]), tf.constant([2.0])
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), 0.0)
    folder = saved(lambda x: x * table.lookup(tf.constant(1)), tmp_path / "net", table)
    with pytest.raises(ModelFileError, match=r"does more than compute.*resource"):
        modelsource.load(folder)


def test_sizes_must_be_fixed(tmp_path: Path) -> None:
    folder = saved(lambda x: tf.reduce_mean(x, (1, 2)), tmp_path / "net", size=None)
    with pytest.raises(ModelFileError, match="sizes must be fixed"):
        modelsource.load(folder)


def test_other_folders_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"without saved_model.pb"):
        modelsource.load(tmp_path)
    folder = saved(lambda x: tf.reduce_mean(x, (1, 2)), tmp_path / "net")
    description = (folder / "saved_model.pb").read_bytes()
    for keep in (0, 10, len(description) // 2):
        (folder / "saved_model.pb").write_bytes(description[:keep])
        with pytest.raises(ModelFileError, match="damaged"):
            modelsource.load(folder)
