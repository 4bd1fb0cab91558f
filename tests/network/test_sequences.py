"""Layers of sequences, as those of images of height 1."""

import keras
import numpy as np
import pytest
from conftest import randomize
from test_lowering import outputs_agree

from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.network.trace import UnsupportedModelError

k = keras.layers


def sequence_model(*layers: keras.Layer, shape: tuple[int, int] = (13, 6)) -> keras.Model:
    return randomize(keras.Sequential([keras.Input(shape), *layers]))


LAYERS = {
    "conv": [k.Conv1D(4, 3, strides=2, padding="same", activation="relu")],
    "dilated": [k.Conv1D(4, 3, dilation_rate=3), k.BatchNormalization()],
    "causal": [k.Conv1D(4, 3, padding="causal"), k.ReLU()],
    "causal, strided": [k.Conv1D(4, 4, strides=3, padding="causal")],
    "causal, dilated": [k.Conv1D(4, 2, dilation_rate=4, padding="causal", use_bias=False)],
    "causal, of one place": [k.Conv1D(4, 1, padding="causal")],
    "grouped": [k.Conv1D(6, 3, groups=3), k.BatchNormalization(), k.PReLU()],
    "depthwise": [k.DepthwiseConv1D(3, depth_multiplier=2, strides=2, padding="same")],
    "depthwise, dilated": [k.DepthwiseConv1D(3, dilation_rate=2), k.BatchNormalization()],
    "separable": [k.SeparableConv1D(5, 3, depth_multiplier=2, activation="relu6")],
    "separable, strided": [k.SeparableConv1D(5, 3, padding="same", strides=2, use_bias=False)],
    "transposed": [k.Conv1DTranspose(4, 3, strides=2, padding="same"), k.BatchNormalization()],
    "transposed, valid": [k.Conv1DTranspose(4, 5, strides=2, activation="tanh")],
    "pools": [
        k.MaxPooling1D(3, 2, padding="same"),
        k.AveragePooling1D(2, padding="same"),
        k.AveragePooling1D(2, strides=1),
        k.GlobalMaxPooling1D(keepdims=True),
        k.GlobalAveragePooling1D(),
    ],
    "mean": [k.Conv1D(4, 3), k.GlobalAveragePooling1D(keepdims=True), k.Flatten()],
    "maximum": [k.Conv1D(4, 3), k.SpatialDropout1D(0.5), k.GlobalMaxPooling1D(), k.Dense(2)],
    "layout": [
        k.ZeroPadding1D((1, 2)),
        k.Cropping1D((2, 0)),
        k.UpSampling1D(2),
        k.Permute((2, 1)),
        k.Conv1D(4, 3, activation="silu"),
        k.Dense(3),
        k.Flatten(),
        k.Dense(2),
    ],
    "an image, then a sequence": [
        k.Reshape((3, 13, 2)),
        k.Conv2D(4, 3),
        k.Reshape((11, 4)),
        k.Conv1D(3, 2),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_compute_the_same(name: str) -> None:
    outputs_agree(
        sequence_model(*(layer.from_config(layer.get_config()) for layer in LAYERS[name]))
    )


def test_zeros_are_padded_at_the_ends_of_sequences_and_behind_channels() -> None:
    x = keras.Input((6, 3))
    y = k.Conv1D(4, 2)(keras.ops.pad(x, ((0, 0), (1, 2), (0, 2))))
    model = randomize(keras.Model(x, y))
    outputs_agree(model)
    ops = [node.op for node in lower(model)]
    assert ops == [
        "input",
        "reshape",
        "pad",
        "reshape",
        "pad_channels",
        "reshape",
        "conv",
        "reshape",
    ]


def residual(name: str, x: keras.KerasTensor) -> keras.KerasTensor:
    """A block as in TC-ResNet: batch norms, ReLUs, a shortcut."""
    y = k.Conv1D(8, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
    y = k.ReLU(name=f"{name}_relu")(k.BatchNormalization(name=f"{name}_bn")(y))
    y = k.DepthwiseConv1D(3, padding="same", name=f"{name}_dw")(y)
    y = k.BatchNormalization(name=f"{name}_dw_bn")(y)
    return k.ReLU(name=f"{name}_out")(k.Add(name=f"{name}_add")([x, y]))


def test_batch_norms_fold_and_relus_fuse_as_with_images() -> None:
    x = inputs = keras.Input((16, 8), name="features")
    x = residual("b", residual("a", k.Conv1D(8, 3, name="stem", activation="relu6")(x)))
    x = k.Dense(3, name="words")(k.GlobalAveragePooling1D(name="gap")(x))
    model = randomize(keras.Model(inputs, x))
    outputs_agree(model)
    folded = fold_batchnorm(lower(model))
    assert not folded.affine
    graph = folded.graph
    assert [(row.name, row.kind) for row in graph.rows] == [
        ("stem", "conv"), ("a_conv", "conv"), ("a_dw", "depthwise"), ("a_add", "add"),
        ("b_conv", "conv"), ("b_dw", "depthwise"), ("b_add", "add"), ("gap", "mean"),
        ("words", "dense"),
    ]  # fmt: skip
    rows = {row.name: row for row in graph.rows}
    assert rows["a_conv"].output == "a_relu"
    assert rows["a_add"].output == "a_out"
    assert rows["stem"].output_shape == (1, 14, 8)
    assert rows["stem"].macs == 14 * 8 * 3 * 8
    assert rows["a_dw"].macs == 14 * 8 * 3
    assert [node.name for node in graph if node.op == "reshape"] == ["features_image"]
    np.testing.assert_array_equal(
        graph.by_name["stem"].weights["kernel"], model.get_layer("stem").kernel.numpy()[None]
    )


def test_a_value_that_is_read_as_a_sequence_too_stays_one() -> None:
    x = inputs = keras.Input((9, 4))
    conv = k.Conv1D(4, 3, padding="same", name="conv")(x)
    x = k.Dense(4, name="dense")(conv)
    y = k.Conv1D(4, 1, name="again")(k.Add(name="sum")([conv, x]))
    model = randomize(keras.Model(inputs, [y, conv]))
    graph = lower(model)
    assert graph.by_name["dense"].output_shape == (9, 4)
    assert graph.by_name["sum"].output_shape == (9, 4)
    assert [graph.by_name[name].output_shape for name in graph.outputs] == [(9, 4), (9, 4)]
    assert graph.output_names == ("again", "conv")
    assert not graph.skipped


def test_strides_with_dilation_are_refused_by_name() -> None:
    model = sequence_model(k.DepthwiseConv1D(3, strides=2, name="both"))
    model.get_layer("both").dilation_rate = (2,)  # Keras 3.11 makes no such layer, later ones do
    with pytest.raises(UnsupportedModelError, match=r"'both': strides \(2,\) with dilation"):
        lower(model)
