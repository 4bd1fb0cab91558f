"""Penalties on kernels: values by hand, against `metrics`, in a fit, in a saved file."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from conftest import residual_net

from tfqdyn.network import modelfile
from tfqdyn.numerics import metrics
from tfqdyn.regularizers import KINDS, KURE, ChannelKURE, RangeAlignment, regularize


def value(regularizer: keras.regularizers.Regularizer, kernel: np.ndarray) -> float:
    return float(regularizer(keras.ops.convert_to_tensor(kernel.astype(np.float32))))


def test_kure_by_hand() -> None:
    # deviations -2, 0, 0, 2: fourth moment 32 / 4 = 8, variance 8 / 4 = 2, kurtosis 8 / 4 = 2
    kernel = np.array([[1.0, 3.0], [3.0, 5.0]])
    assert value(KURE(0.5), kernel) == pytest.approx(0.5 * (2 - 1.8) ** 2, rel=1e-5)
    assert value(KURE(1.0, target=2.0), kernel) == pytest.approx(0, abs=1e-12)


def test_channel_kure_by_hand() -> None:
    # columns: (-1, 1, -1, 1), kurtosis 1; (0, 0, 0, 4), deviations -1, -1, -1, 3: 21 / 9 = 7 / 3
    kernel = np.array([[-1.0, 0], [1, 0], [-1, 0], [1, 4]])
    expected = ((1 - 1.8) ** 2 + (7 / 3 - 1.8) ** 2) / 2
    assert value(ChannelKURE(), kernel) == pytest.approx(expected, rel=1e-5)
    depthwise = kernel.reshape(2, 2, 2, 1)
    assert value(ChannelKURE(axes=(2, 3)), depthwise) == pytest.approx(expected, rel=1e-5)


def test_alignment_by_hand() -> None:
    # channel ranges 1 and 4, tensor -1 .. 3: average precision (1 / 4 + 4 / 4) / 2 = 0.625
    kernel = np.array([[0.0, -1], [1, 3]])
    assert value(RangeAlignment(2.0), kernel) == pytest.approx(2 * 0.375, rel=1e-6)


@pytest.mark.parametrize(("kind", "shape"), [
    ("conv", (3, 3, 4, 6)), ("depthwise", (3, 3, 4, 2)), ("dense", (9, 5)),
    ("transposed_conv", (3, 3, 5, 2)),
])  # fmt: skip
def test_penalties_agree_with_the_metrics(
    kind: str, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    kernel = rng.normal(size=shape)
    axes = KINDS[kind]
    assert value(KURE(target=0), kernel) == pytest.approx(
        (metrics.excess_kurtosis(kernel) + 3) ** 2, rel=1e-4
    )
    precision = metrics.precision_of_ranges(
        metrics.channel_ranges(kernel, axes), metrics.dynamic_range(kernel)
    )
    assert value(RangeAlignment(axes=axes), kernel) == pytest.approx(1 - precision, rel=1e-5)


def test_constant_kernels_and_single_weights_are_defined() -> None:
    constant = np.full((3, 3, 2, 4), 0.5)
    assert value(KURE(), constant) == pytest.approx(1.8**2)
    assert value(RangeAlignment(), constant) == 0
    assert value(ChannelKURE(axes=(2, 3)), np.ones((1, 1, 8, 1))) == 0


def test_descent_flattens_each_channel(rng: np.random.Generator) -> None:
    kernel = keras.Variable(rng.standard_t(4, (3, 3, 16, 8)).astype(np.float32))
    layer = keras.layers.Conv2D(8, 3, use_bias=False, kernel_regularizer=ChannelKURE())
    model = keras.Sequential([keras.Input((4, 4, 16)), layer])
    layer.set_weights([kernel.numpy()])
    before = [metrics.excess_kurtosis(layer.get_weights()[0][..., c]) for c in range(8)]
    model.compile(keras.optimizers.Adam(0.05), loss=lambda y, p: keras.ops.mean(p * 0.0))
    model.fit(np.zeros((8, 4, 4, 16)), np.zeros(8), batch_size=1, epochs=50, verbose=0)
    after = [metrics.excess_kurtosis(layer.get_weights()[0][..., c]) for c in range(8)]
    assert max(before) > 1
    np.testing.assert_allclose(after, 1.8 - 3, atol=0.1)


def test_regularize_reaches_the_kernels_asked_for(network: keras.Model) -> None:
    assert regularize(network, lambda axes: keras.regularizers.L2(1.0), ("depthwise",)) == ("dw",)
    kernel = network.get_layer("dw").kernel.numpy()
    assert float(sum(network.losses)) == pytest.approx(float((kernel**2).sum()), rel=1e-5)
    outer = keras.Sequential([keras.Input((12, 12, 3)), residual_net()])
    names = regularize(outer, lambda axes: RangeAlignment(axes=axes), skip=("stem",))
    assert names == ("dw", "pw", "grouped", "logits")
    assert len(outer.losses) == 4


def test_separable_layers_have_two_kernels() -> None:
    layer = keras.layers.SeparableConv2D(4, 3)
    model = keras.Sequential([keras.Input((4, 4, 3)), layer])
    made = []
    names = regularize(model, lambda axes: made.append(axes) or ChannelKURE(axes=axes))
    assert names == (layer.name, layer.name)
    assert made == [(2, 3), (3,)]
    given: tuple = (layer.depthwise_regularizer, layer.pointwise_regularizer)
    assert [regularizer.get_config()["axes"] for regularizer in given] == [[2, 3], [3]]


def test_a_regularized_model_is_read_again(network: keras.Model, tmp_path: Path) -> None:
    regularize(network, lambda axes: ChannelKURE(0.25, axes=axes))
    network.save(tmp_path / "net.keras")
    read: Any = keras.saving.load_model(tmp_path / "net.keras", compile=False)
    assert read.get_layer("dw").depthwise_regularizer.get_config() == {
        "weight": 0.25, "target": 1.8, "axes": [2, 3],
    }  # fmt: skip
    assert float(sum(read.losses)) == pytest.approx(float(sum(network.losses)), rel=1e-6)
    for_inference = modelfile.load(tmp_path / "net.keras")
    assert not for_inference.losses
    for found, weight in zip(for_inference.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(found, weight)


def test_impossible_orders_are_refused(network: keras.Model) -> None:
    with pytest.raises(ValueError, match=r"at least 0, received -1"):
        KURE(-1)
    with pytest.raises(ValueError, match="conv1d"):
        regularize(network, lambda axes: KURE(), ("conv1d",))
    with pytest.raises(ValueError, match="no kernel"):
        regularize(keras.Sequential([keras.layers.ReLU()]), lambda axes: KURE())
