"""The CPU form of the group convolution against Keras' own, and what is saved of it."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from models import group_conv
from models.factorizenet import factorizenet


def computed(model: Any, images: np.ndarray) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(model(images)))


def native(layer: Any) -> keras.layers.Conv2D:
    """Keras' own layer with the same configuration and weights."""
    twin = keras.layers.Conv2D.from_config(layer.get_config())
    twin.build(layer.input.shape)
    twin.set_weights(layer.get_weights())
    return twin


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize(
    ("channels", "filters", "groups"),
    [(8, 8, 2), (8, 16, 4), (32, 32, 16), (32, 64, 2), (24, 12, 6), (16, 16, 16)],
)
def test_output_equals_keras(channels: int, filters: int, groups: int, strides: int):
    keras.utils.set_random_seed(0)
    layer = group_conv.group_conv2d(filters, 3, groups=groups, strides=strides, name="conv_group_1")
    layer(keras.Input((9, 9, channels)))
    layer.set_weights([layer.get_weights()[0], np.arange(filters, dtype=np.float32)])
    images = np.random.default_rng(1).normal(size=(2, 9, 9, channels)).astype("float32")
    np.testing.assert_allclose(
        computed(layer, images),
        computed(native(layer), images),
        rtol=1e-5,
        atol=1e-5,
    )


def test_one_training_step_equals_keras():
    """One SGD step moves kernel and bias as Keras' own layer does, so the gradients agree."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 16))
    layer = group_conv.group_conv2d(16, 3, groups=4, strides=2, name="conv_group_1")
    model = keras.Model(inputs, layer(inputs))
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    assert vars(twin.layers[1]).get("convolution_op") is None
    images, targets = (
        np.random.default_rng(0).normal(size=s) for s in ((4, 8, 8, 16), (4, 4, 4, 16))
    )
    for network in (model, twin):
        network.compile(keras.optimizers.SGD(1.0), "mse")
        network.train_on_batch(images.astype("float32"), targets.astype("float32"))
    for fast, slow in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(fast, slow, rtol=1e-5, atol=1e-5)


def test_saved_network_is_plain_keras(tmp_path: Path):
    """The file loads in safe mode without custom objects, with the same outputs."""
    network = factorizenet(width=0.25, factorization="finit2", dense_units=(8,))
    network.save(tmp_path / "network.keras")
    loaded: Any = keras.saving.load_model(tmp_path / "network.keras", compile=False)
    assert type(loaded.get_layer("conv_group_1")) is keras.layers.Conv2D
    assert loaded.get_layer("conv_group_8").groups == 8
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(computed(network, images), computed(loaded, images), atol=1e-5)


def test_kernel_has_keras_shape():
    layer = group_conv.group_conv2d(32, 3, groups=4, name="conv_group_1", use_bias=False)
    layer(keras.Input((8, 8, 16)))
    assert [tuple(w.shape) for w in layer.weights] == [(3, 3, 4, 32)]


def test_accelerators_get_the_native_form(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0", "gpu:0"])
    assert group_conv.has_fast_groups()
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0"])
    assert not group_conv.has_fast_groups()
