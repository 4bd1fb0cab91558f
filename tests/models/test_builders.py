"""What all builders share: batch norm, initializers, argument errors, saved files."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import models

SMALL: dict[str, dict[str, Any]] = {
    "toynet": {"width": 0.125, "dense_units": (8,)},
    "dws_convnet": {"width": 0.125, "dense_units": (8,)},
    "factorizenet": {"width": 0.125, "dense_units": (8,)},
    "mobilenet_v1": {"width": 0.125},
    "mobilenet_v2": {"width": 0.25},
    "resnet34": {"width": 0.125},
    "vgg19": {},
}


def small(name: str, **arguments: Any) -> keras.Model:
    return models.BUILDERS[name](**(SMALL[name] | arguments))


def computed(model: Any, images: np.ndarray) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(model(images)))


def kernels(network: keras.Model) -> list[Any]:
    return [layer for layer in network.layers if hasattr(layer, "kernel")]


def convolutions(network: keras.Model) -> list[Any]:
    return [layer for layer in kernels(network) if not isinstance(layer, keras.layers.Dense)]


def norms(network: keras.Model) -> list[Any]:
    return [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("batch_norm", ["scale", "no_scale", None])
def test_batch_norm_follows_every_convolution_or_biases_do(name: str, batch_norm: str | None):
    network = small(name, batch_norm=batch_norm)
    if batch_norm is None:
        assert not norms(network)
        assert all(layer.use_bias for layer in convolutions(network))
    else:
        names = [layer.name for layer in norms(network)]
        assert names == [f"{layer.name}_bn" for layer in convolutions(network)] or sorted(
            names
        ) == sorted(f"{layer.name}_bn" for layer in convolutions(network))
        assert all(layer.scale == (batch_norm == "scale") for layer in norms(network))
        assert not any(layer.use_bias for layer in convolutions(network))


@pytest.mark.parametrize("name", SMALL)
def test_initializer_leaves_first_convolution_and_dense_layers_alone(name: str):
    network = small(name, initializer="RandUni_Large")
    chosen = {
        layer.name: type(
            getattr(layer, "depthwise_initializer", None) or layer.kernel_initializer
        ).__name__
        for layer in kernels(network)
    }
    first, *others = convolutions(network)
    assert chosen[first.name] == "GlorotUniform"
    dense = [x.name for x in kernels(network) if isinstance(x, keras.layers.Dense)]
    assert {chosen[name] for name in dense} == {"GlorotUniform"}
    drawn = {chosen[layer.name] for layer in others}
    assert "RandomUniform" in drawn
    if name != "dws_convnet":  # its scope is the depthwise kernels alone, as in the thesis
        assert drawn == {"RandomUniform"}


@pytest.mark.parametrize(
    ("scope", "depthwise", "pointwise"),
    [("depthwise", True, False), ("pointwise", False, True), ("both", True, True)],
)
@pytest.mark.parametrize("name", ["dws_convnet", "mobilenet_v1", "mobilenet_v2"])
def test_scope_of_the_initializer(name: str, scope: str, depthwise: bool, pointwise: bool):
    network = small(name, initializer="HeNorm", init_scope=scope)
    for layer in convolutions(network)[1:]:
        is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        drawn = layer.depthwise_initializer if is_depthwise else layer.kernel_initializer
        expected = depthwise if is_depthwise else pointwise
        assert isinstance(drawn, keras.initializers.HeNormal) == expected, layer.name


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"initializer": "Xavier"}, "'Xavier'.*Valid choices.*HeNorm"),
        ({"batch_norm": True}, "batch_norm True.*'scale', 'no_scale', None"),
        ({"input_shape": (2, 2, 3)}, "at least .*(2, 2, 3)"),
        ({"input_shape": (32, 32)}, r"\(height, width, channels\)"),
        ({"num_classes": 1}, "at least 2, received 1"),
        ({"classifier_activation": "relu"}, "'relu'.*'softmax', None"),
    ],
)
def test_bad_arguments_are_named_with_the_choices(name: str, arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        models.BUILDERS[name](**arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("toynet", {"width": 0.0}, "positive multiplier"),
        ("toynet", {"dropout": 1.0}, r"dropout must lie in \[0, 1\)"),
        ("toynet", {"dense_units": (0,)}, "dense_units must be positive"),
        ("dws_convnet", {"init_scope": "all"}, "'depthwise', 'pointwise', 'both'"),
        ("factorizenet", {"factorization": "g2"}, "'g2'.*'finit2'"),
        ("factorizenet", {"factorization": "f3"}, "3 groups of 64 channels"),
        ("factorizenet", {"factorization": "finit128"}, "128 groups of 64 channels"),
        ("mobilenet_v1", {"form": "mnist"}, "'cifar', 'imagenet'"),
        ("mobilenet_v1", {"activation": "gelu"}, "'relu', 'relu6'"),
        ("vgg19", {"weights": "imagenet", "batch_norm": "scale"}, "weights are of the published"),
    ],
)
def test_bad_options_of_single_builders(name: str, arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        models.BUILDERS[name](**arguments)


@pytest.mark.parametrize("name", [name for name in SMALL if name != "vgg19"])
def test_saved_network_loads_in_safe_mode_with_equal_outputs(name: str, tmp_path: Path):
    network = small(name, input_shape=(32, 32, 1), num_classes=7, classifier_activation=None)
    network.save(tmp_path / "network.keras")
    loaded: Any = keras.saving.load_model(tmp_path / "network.keras", compile=False)
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 1)).astype("float32")
    outputs = computed(network, images)
    assert outputs.shape == (2, 7)
    np.testing.assert_allclose(computed(loaded, images), outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["toynet", "dws_convnet"])
def test_dropout_stands_between_the_dense_layers(name: str):
    names = [layer.name for layer in models.BUILDERS[name]().layers]
    assert names[names.index("flatten") :] == [
        "flatten", "dense_1", "dropout_1", "dense_2", "dropout_2", "predictions"
    ]  # fmt: skip
    assert not any("dropout" in x.name for x in models.BUILDERS[name](dropout=0).layers)


def test_width_multiplies_convolutions_in_steps_of_eight():
    network = models.BUILDERS["toynet"](width=0.3)
    widths = [layer.output.shape[-1] for layer in convolutions(network)]
    assert widths == [16, 16, 16, 40, 40, 40, 80, 80, 80]  # 19.2, 38.4, 76.8
