import keras
import pytest

from tfqdyn.network import sizes

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


def macs_of(shape: tuple[int | None, ...], *layers: keras.Layer) -> int:
    return sum(sizes.macs(keras.Sequential([keras.Input(shape), *layers])).values())


def test_einsum_dense_counts_every_combination_of_its_indices_once() -> None:
    several = k.EinsumDense("abc,cde->abde", output_shape=(None, 3, 4))
    assert macs_of((5, 6), several) == 5 * 6 * 3 * 4
    assert macs_of((7, 5, 6), k.EinsumDense("...x,xy->...y", output_shape=4)) == 7 * 5 * 6 * 4
    summed = k.EinsumDense("abc,bcd->ad", output_shape=4)
    assert macs_of((5, 6), summed) == 5 * 6 * 4


def test_wrapped_and_recurrent_layers_count_at_every_step() -> None:
    assert macs_of((5, 8, 8, 2), k.TimeDistributed(k.Conv2D(4, 3))) == 5 * 6 * 6 * 4 * (3 * 3 * 2)
    assert macs_of((8, 8, 2), k.SpectralNormalization(k.Conv2D(4, 3))) == 6 * 6 * 4 * (3 * 3 * 2)
    # input and recurrent convolution, four gates each, at 6 x 6 positions
    assert macs_of((5, 8, 8, 2), k.ConvLSTM2D(4, 3)) == 5 * 6 * 6 * (3 * 3 * (2 + 4)) * (4 * 4)
    gru = k.GRU(4, return_sequences=True)
    assert macs_of((7, 5), gru) == 7 * (5 + 4) * (3 * 4)
    assert macs_of((2, 7, 5), k.TimeDistributed(k.LSTM(4))) == 2 * 7 * (5 + 4) * (4 * 4)


def test_a_shared_transposed_convolution_counts_every_call() -> None:
    inputs = keras.Input((8, 8, 3))
    twice = k.Conv2DTranspose(3, 2, padding="same", name="twice")
    model = keras.Model(inputs, twice(twice(inputs)))
    assert sizes.macs(model) == {"twice": 2 * 8 * 8 * 3 * (2 * 2 * 3)}


def test_equal_names_in_nested_models_stay_apart() -> None:
    def part(channels: int) -> keras.Model:
        inputs = keras.Input((8, 8, channels))
        return keras.Model(inputs, k.Conv2D(4, 3, padding="same", name="conv")(inputs))

    model = keras.Sequential([keras.Input((8, 8, 3)), part(3), part(4)])
    assert list(sizes.params(model).values()) == [3 * 3 * 3 * 4 + 4, 3 * 3 * 4 * 4 + 4]
    assert list(sizes.macs(model).values()) == [64 * 3 * 3 * 3 * 4, 64 * 3 * 3 * 4 * 4]


def test_what_no_rule_counts_is_named() -> None:
    inputs = keras.Input((7, 8))
    x = k.LayerNormalization(axis=[1, 2])(k.PReLU()(inputs))
    x = k.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = k.Bidirectional(k.LSTM(3), name="both")(x)
    model = keras.Model(inputs, k.Dense(2, name="dense")(x))
    assert sizes.uncounted(model) == {
        "attention": "MultiHeadAttention",
        "both": "Bidirectional",
    }
    assert sizes.macs(model) == {"dense": 6 * 2}


def test_layers_that_the_analysis_does_not_support_count_too() -> None:
    model = keras.Sequential([keras.Input((4, 4, 2)), k.LayerNormalization(), k.Conv2D(3, 1)])
    assert sum(sizes.macs(model).values()) == 4 * 4 * 2 * 3


def test_open_input_sizes_are_refused() -> None:
    model = keras.Sequential([keras.Input((None, None, 2)), k.Conv2D(3, 1, name="conv")])
    with pytest.raises(ValueError, match="'conv' reads or gives a size that is not fixed"):
        sizes.macs(model)
