"""Weight clipping, AdaRound, mixed precision and the sensitivity experiment."""

from typing import Any

import faulty_networks
import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfqdyn.network.folding import Folded, fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.numerics.grid import dequantize, quantize
from tfqdyn.quantization.fakequant import kernel_params
from tfqdyn.remedies import adaround as adaround_module
from tfqdyn.remedies.adaround import adaround
from tfqdyn.remedies.bias_correction import bias_correction
from tfqdyn.remedies.mixed_precision import mixed_precision
from tfqdyn.remedies.sensitivity import Sweep, correlations
from tfqdyn.remedies.weight_clipping import weight_clipping


def heavy_tailed() -> Folded:
    """A large dense kernel with a few weights far out."""
    keras.utils.set_random_seed(3)
    k = keras.layers
    x = inputs = keras.Input((12, 12, 3))
    x = k.Conv2D(64, 3, padding="same", activation="relu", name="stem")(x)
    x = k.Dense(40, name="logits")(k.Flatten()(x))
    folded = fold_batchnorm(lower(keras.Model(inputs, x)))
    rng = np.random.default_rng(8)
    return faulty_networks.with_kernel(
        folded, "logits", lambda w: 0.05 * rng.standard_t(3, w.shape)
    )


def test_clipping_minimizes_the_weights_error() -> None:
    sick, ward = heavy_tailed(), faulty_networks.ward()
    cured = weight_clipping(sick, ward.material)
    assert {c.layer for c in cured.changes} == {"logits"}
    for name in ("logits",):
        exact = sick.graph.by_name[name]
        errors = []
        for node in (exact, cured.folded.deployed.by_name[name]):
            params = kernel_params(node)
            weights = exact.weights["kernel"].astype(np.float64)
            errors.append(((dequantize(quantize(weights, params), params) - weights) ** 2).sum())
        assert errors[1] < errors[0]


def test_clipping_cures_heavy_tails() -> None:
    sick, ward = heavy_tailed(), faulty_networks.ward()
    clipped = weight_clipping(sick, ward.material).folded
    both = [bias_correction(folded, ward.material).folded for folded in (sick, clipped)]
    before, after = (ward.result(folded).layers[-1].sqnr_db.mean for folded in both)
    assert after > before + 0.5


def test_learned_rounding_beats_the_nearest_with_corrected_biases() -> None:
    sick, ward = faulty_networks.coarse(), faulty_networks.ward()
    cured = adaround(sick, ward.material)
    assert any(c.what == "codes moved" for c in cured.changes)
    results = [ward.result(f) for f in (bias_correction(sick, ward.material).folded, cured.folded)]
    before, after = (
        next(row.sqnr_db.mean for row in result.layers if row.name == "pw") for result in results
    )
    assert after > before + 0.4
    assert results[1].summary.qkl_div.mean < results[0].summary.qkl_div.mean


def test_learned_codes_differ_by_one_at_most_and_keep_the_range() -> None:
    sick, ward = faulty_networks.coarse(), faulty_networks.ward()
    deployed = adaround(sick, ward.material).folded.deployed
    for name in ("stem", "dw", "pw"):
        before, after = sick.graph.by_name[name], deployed.by_name[name]
        params = kernel_params(before)
        found = kernel_params(after)
        np.testing.assert_allclose(found.scale, params.scale, rtol=1e-5)
        assert found.zero_point == params.zero_point
        place = before.weights["kernel"] / params.scale + params.zero_point
        codes = quantize(after.weights["kernel"], found).astype(float)
        assert np.abs(codes - place).max() < 1.01
        np.testing.assert_allclose(after.weights["kernel"], dequantize(codes, params), atol=1e-5)


@pytest.mark.parametrize("remedy", [adaround, weight_clipping, mixed_precision])
def test_a_healthy_network_hardly_changes(remedy) -> None:
    healthy, ward = faulty_networks.healthy(), faulty_networks.ward()
    assert ward.qkl(remedy(healthy, ward.material).folded) < 1.5 * ward.qkl(healthy) + 2e-5


def test_adaround_covers_groups_strides_and_dense_layers() -> None:
    keras.utils.set_random_seed(0)
    k = keras.layers
    x = inputs = keras.Input((12, 12, 3))
    x = k.Conv2D(8, 3, strides=2, activation="relu", name="strided")(x)
    x = k.Conv2D(8, 3, groups=4, dilation_rate=2, padding="same", activation="relu", name="g")(x)
    x = k.DepthwiseConv2D(3, depth_multiplier=2, activation="relu", name="multiplied")(x)
    x = k.Dense(4, name="last")(k.Flatten()(x))
    folded, ward = fold_batchnorm(lower(keras.Model(inputs, x))), faulty_networks.ward()
    cured = adaround(folded, ward.material)
    moved = {c.layer for c in cured.changes if c.what == "codes moved"}
    assert {"strided", "g", "multiplied"} <= moved
    assert "last" in cured.notes[0]  # 40 images are too few for its weights
    assert ward.qkl(cured.folded) < 1.2 * ward.qkl(folded) + 1e-6


def test_mixed_precision_finds_the_layer_at_fault() -> None:
    sick, ward = faulty_networks.coarse(), faulty_networks.ward()
    cured = mixed_precision(sick, ward.material, most_layers=1)
    assert cured.folded.float_layers == ("pw",)
    assert ward.qkl(cured.folded) < 0.3 * ward.qkl(sick)
    row = {layer.name: layer for layer in ward.result(cured.folded).layers}["pw"]
    assert row.quantization == (None,)


def test_mixed_precision_needs_a_layer_to_give() -> None:
    with pytest.raises(ValueError, match="at least 1, received 0"):
        mixed_precision(faulty_networks.healthy(), faulty_networks.ward().material, most_layers=0)


def test_gains_and_their_correlations() -> None:
    sick, ward = faulty_networks.coarse(), faulty_networks.ward()
    labels = ward.logits(sick).argmax(axis=1)
    sweep = Sweep(sick, ward.material, ward.material, labels)
    before = sweep.score(()).accuracy or 0.0
    alone = {n: sweep.score((n,)).accuracy or 0.0 for n in ("stem", "dw", "pw", "logits")}
    gains = {name: accuracy - before for name, accuracy in alone.items()}
    assert gains["pw"] == max(gains.values()) >= 0
    layers = ward.result(sick).layers
    given = {"stem": 0.1, "dw": 0.3, "pw": 0.2, "logits": 0.0}
    found = {c.value: c for c in correlations(layers, given)}
    rows = [layer for layer in layers if layer.name in given]
    wanted: Any = stats.spearmanr([r.qmse.mean for r in rows], [given[r.name] for r in rows])
    assert found["qmse"].rho == pytest.approx(wanted.statistic)
    assert found["qmse"].layers == 4
    assert {"qmse", "qce", "qkl_div", "sqnr_pooled_db"} <= set(found)
    assert correlations(layers, dict.fromkeys(given, 0.0)) == ()
    with pytest.raises(ValueError, match="at least 3 layers"):
        correlations(layers, {"stem": 0.1})


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (keras.layers.Conv2D(4, 3, padding="same", groups=2), 7),
        (keras.layers.Conv2D(4, (3, 2), strides=2, padding="same"), 8),
        (keras.layers.Conv2D(4, 3, padding="valid", dilation_rate=2), 9),
        (keras.layers.DepthwiseConv2D(3, strides=2, padding="same"), 6),
        (keras.layers.Conv2D(4, 1, strides=2), 6),
    ],
)
def test_a_kernel_sees_what_tensorflow_says(layer: Any, size: int) -> None:
    x = keras.Input((size, size, 4))
    node = fold_batchnorm(lower(keras.Model(x, layer(x)))).graph.nodes[-1]
    height, width = node.weights["kernel"].shape[:2]
    values = np.random.default_rng(3).normal(size=(2, size, size, 4)).astype(np.float32)
    config = node.config
    wanted = tf.image.extract_patches(
        values, (1, height, width, 1), (1, *config["strides"], 1), (1, *config["dilation"], 1),
        config["padding"].upper(),
    ).numpy().reshape(-1, height * width, 4)  # fmt: skip
    chosen = np.random.default_rng(4).permutation(len(wanted))[:9]
    found = adaround_module._patches(node, values, chosen, 0)  # [G, P, taps]
    groups = 4 if node.op == "depthwise" else config["groups"]
    split = wanted[chosen].reshape(9, height * width, groups, -1).transpose(2, 0, 1, 3)
    np.testing.assert_array_equal(found, split.reshape(groups, 9, -1))
    padded = adaround_module._patches(node, np.full_like(values, 5.0), chosen, 7)
    zeros = adaround_module._patches(node, np.ones_like(values), chosen, 0) == 0
    assert set(np.unique(padded[zeros])) <= {7.0}
    assert set(np.unique(padded[~zeros])) == {5.0}
