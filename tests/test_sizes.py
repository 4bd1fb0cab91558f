import keras
import pytest

from tfqdyn import sizes

k = keras.layers


def test_macs_and_params_spelled_by_hand() -> None:
    shared = k.Dense(5, name="shared")
    inputs = x = keras.Input((8, 8, 3))
    x = k.Conv2D(4, 3, strides=2, padding="same", name="conv")(x)
    x = k.BatchNormalization(name="bn")(x)
    x = k.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = k.SeparableConv2D(6, 3, padding="same", name="separable")(x)
    x = k.Conv2D(6, 1, groups=3, name="grouped")(x)
    x = k.Conv2DTranspose(2, 2, strides=2, name="transposed")(x)
    x = k.Flatten()(x)
    model = keras.Model(
        inputs, k.Dense(5, name="last")(shared(shared(k.Dense(5, name="first")(x))))
    )
    assert sizes.macs(model) == {
        "conv": 4 * 4 * 4 * (3 * 3 * 3),
        "depthwise": 2 * 2 * 8 * (3 * 3),
        "separable": 2 * 2 * (8 * 3 * 3 + 8 * 6),
        "grouped": 2 * 2 * 6 * (6 // 3),
        "transposed": 2 * 2 * (2 * 2 * 6 * 2),
        "first": 32 * 5,
        "shared": 2 * 5 * 5,
        "last": 5 * 5,
    }
    found = sizes.params(model)
    assert found["bn"] == 16
    assert sum(found.values()) == model.count_params()


def test_layers_that_the_analysis_does_not_support_count_too() -> None:
    model = keras.Sequential([keras.Input((4, 4, 2)), k.LayerNormalization(), k.Conv2D(3, 1)])
    assert sum(sizes.macs(model).values()) == 4 * 4 * 2 * 3


def test_open_input_sizes_are_refused() -> None:
    model = keras.Sequential([keras.Input((None, None, 2)), k.Conv2D(3, 1, name="conv")])
    with pytest.raises(ValueError, match="'conv' has no fixed output size"):
        sizes.macs(model)
