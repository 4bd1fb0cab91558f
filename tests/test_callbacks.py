"""A network watched while it trains: CSV, TensorBoard and logs say what an analysis says."""

import csv
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import images

from tfqdyn import pipeline
from tfqdyn.callbacks import LAYERS, NETWORK, VALUES, WATCHED, QuantizationMonitor
from tfqdyn.datasets import DataError
from tfqdyn.results.layervalues import LAYER_VALUES, mean_of

DATA = images(16, size=8)
X, Y = DATA.x_train / np.float32(255), DATA.y_train


def tiny() -> keras.Model:
    keras.utils.set_random_seed(0)
    k = keras.layers
    x = inputs = keras.Input((8, 8, 3))
    x = k.Conv2D(4, 3, use_bias=False, name="conv")(x)
    x = k.BatchNormalization(name="bn")(x)
    x = k.GlobalAveragePooling2D()(k.ReLU()(x))
    model = keras.Model(inputs, k.Dense(4, "softmax", name="logits")(x))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, keras.Model, dict]:
    """Three epochs, of which the second and the last are watched."""
    folder = tmp_path_factory.mktemp("watched")
    model = tiny()
    monitor = QuantizationMonitor((X, Y), folder / "csv", every=2, tensorboard=folder / "events")
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[monitor])
    return folder, model, history.history


def test_files_hold_what_an_analysis_of_the_network_says(watched: tuple) -> None:
    folder, model, history = watched
    network, layers = rows(folder / "csv" / NETWORK), rows(folder / "csv" / LAYERS)
    assert [row["epoch"] for row in network] == ["2", "3"]
    result = pipeline.analyze(model, QuantizationMonitor((X, Y), folder)._data, WATCHED)
    assert float(network[-1]["fp32_accuracy"]) == result.summary.fp32_accuracy
    assert result.summary.quantized_accuracy is not None
    assert float(network[-1]["quantized_accuracy"]) == result.summary.quantized_accuracy.mean
    last = [row for row in layers if row["epoch"] == "3"]
    assert [row["name"] for row in last] == [layer.name for layer in result.layers]
    for row, layer in zip(last, result.layers, strict=True):
        for name in VALUES:
            value = mean_of(LAYER_VALUES[name].read(layer))
            assert row[name] == ("" if value is None else str(value))
    assert history["quantized_accuracy"][-1] == result.summary.quantized_accuracy.mean


def test_tensorboard_has_the_same(watched: tuple) -> None:
    folder, _, _ = watched
    (events,) = (folder / "events").iterdir()
    found = {}
    for event in tf.compat.v1.train.summary_iterator(str(events)):
        for value in event.summary.value:
            found[event.step, value.tag] = float(tf.make_ndarray(value.tensor))
    row = next(r for r in rows(folder / "csv" / LAYERS) if (r["epoch"], r["name"]) == ("3", "conv"))
    tag = "quantization/folded_weight_range/conv"
    assert found[3, tag] == pytest.approx(float(row["folded_weight_range"]), rel=1e-6)
    assert (2, "quantization/quantized_accuracy") in found
    assert not [step for step, _ in found if step == 1]


def test_a_fit_that_goes_on_keeps_earlier_rows(tmp_path: Path) -> None:
    model = tiny()
    for first, last in ((0, 1), (1, 2)):
        monitor = QuantizationMonitor((X, Y), tmp_path)
        model.fit(X, Y, initial_epoch=first, epochs=last, verbose=0, callbacks=[monitor])
    assert [row["epoch"] for row in rows(tmp_path / NETWORK)] == ["1", "2"]


def test_what_cannot_be_watched_is_refused_before_the_first_epoch(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every must be at least 1 epoch, received 0"):
        QuantizationMonitor((X, Y), tmp_path, every=0)
    with pytest.raises(ValueError, match=r"expected a tfqdyn Dataset or \(images, labels\)"):
        QuantizationMonitor(X, tmp_path)  # pyright: ignore[reportArgumentType]
    monitor = QuantizationMonitor((X[:, :4], Y), tmp_path / "none")
    with pytest.raises(DataError, match="the model expects images"):
        tiny().fit(X, Y, epochs=1, verbose=0, callbacks=[monitor])
    assert not (tmp_path / "none").exists()
