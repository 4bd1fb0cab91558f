"""MobileNet-V1's 224 form against `keras.applications`, and the quantization-friendly stages."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from models.mobilenet_v1 import QUANTIZATION_FRIENDLY, copy_weights, mobilenet_v1

REAL = Path(__file__).parents[3] / "shared" / "models" / "mobilenet_v1_1.0_224.keras"


def computed(model: Any, images: np.ndarray) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(model(images)))


@pytest.fixture(scope="module")
def published() -> keras.Model:
    keras.utils.set_random_seed(0)
    build: Any = keras.applications.MobileNet
    model = build(weights=None, input_shape=(64, 64, 3), classes=20)
    for layer in model.layers:  # statistics that a trained network could have
        if isinstance(layer, keras.layers.BatchNormalization):
            rng = np.random.default_rng(1)
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model


def test_imagenet_form_computes_what_keras_applications_computes(published: keras.Model):
    network = mobilenet_v1((64, 64, 3), 20, form="imagenet")
    copy_weights(published, network)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype("float32")
    np.testing.assert_allclose(computed(network, images), computed(published, images), rtol=1e-4)


def test_weights_that_do_not_fit_are_all_named(published: keras.Model):
    network = mobilenet_v1((64, 64, 3), 7, form="imagenet", depthwise_batch_norm=False)
    with pytest.raises(ValueError, match=r"conv_dw_1, .*conv_preds.*conv_dw_13_bn"):
        copy_weights(published, network)


def test_quantization_friendly_stages():
    """Sheng et al., slide 10: each stage keeps the changes of the one before."""
    stages = {
        name: mobilenet_v1(width=0.125, **arguments)
        for name, arguments in QUANTIZATION_FRIENDLY.items()
    }
    names = {stage: {layer.name for layer in net.layers} for stage, net in stages.items()}
    assert {"conv_dw_3_bn", "conv_dw_3_relu"} <= names["original"]
    for stage in ("no_depthwise_bn_relu6", "relu", "depthwise_l2"):
        assert not {"conv_dw_3_bn", "conv_dw_3_relu"} & names[stage]
        assert {"conv_pw_3_bn", "conv_pw_3_relu"} <= names[stage]
        assert stages[stage].get_layer("conv_dw_3").use_bias
    ceilings = {stage: net.get_layer("conv_pw_3_relu").max_value for stage, net in stages.items()}
    assert ceilings == {
        "original": 6.0,
        "no_depthwise_bn_relu6": 6.0,
        "relu": None,
        "depthwise_l2": None,
    }
    assert len(stages["depthwise_l2"].losses) == 13
    assert not stages["relu"].losses


@pytest.mark.realdata
def test_real_weights_fit_the_imagenet_form():
    if not REAL.exists():
        pytest.skip(f"{REAL} is absent")
    published: Any = keras.saving.load_model(REAL, compile=False)
    network = mobilenet_v1((224, 224, 3), 1000, form="imagenet")
    copy_weights(published, network)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 224, 224, 3)).astype("float32")
    np.testing.assert_allclose(
        computed(network, images),
        computed(published, images),
        rtol=1e-3,
        atol=1e-7,
    )
