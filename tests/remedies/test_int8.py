"""Remedies on int8 kernels, which have a grid for every output channel."""

import json
from dataclasses import replace
from pathlib import Path

import faulty_networks
import keras
import numpy as np
import pytest
from conftest import images, residual_net

from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.network.trace import UnsupportedModelError
from tfqdyn.numerics.grid import quantize
from tfqdyn.quantization.checks import ConversionError, check_channels
from tfqdyn.quantization.conversion import to_tflite
from tfqdyn.quantization.fakequant import kernel_params
from tfqdyn.remedies import REMEDIES, CalibrationImages, diagnose, remedy
from tfqdyn.remedies.adaround import adaround
from tfqdyn.remedies.analytic import bias_correction_analytic
from tfqdyn.remedies.mixed_precision import mixed_precision
from tfqdyn.remedies.sensitivity import sensitivity
from tfqdyn.remedies.weight_clipping import weight_clipping
from tfqdyn.schemes import OWN_RANGES


def test_clipping_cuts_single_channels() -> None:
    """Of n weights within +-0.3 and one of 1, the bound b that makes the least error.

    That is n b^2 / (127^2 * 12) + (1 - b)^2, least at b = 1 / (1 + n / (127^2 * 12)).
    """
    count = 160 * 160 * 3
    x = inputs = keras.Input((160, 160, 3))
    x = keras.layers.Dense(2, name="logits")(keras.layers.Flatten()(x))
    kernel = np.random.default_rng(8).uniform(-1, 1, (count, 2))
    kernel[:, 0] *= 0.3
    kernel[5, 0] = 1.0
    sick = fold_batchnorm(lower(keras.Model(inputs, x)))
    sick = faulty_networks.with_kernel(sick, "logits", lambda _: kernel)
    cured = weight_clipping(sick, faulty_networks.ward("int8").material)
    lowest, highest = cured.changes
    assert (highest.layer, highest.channel, highest.before) == ("logits", 0, 1.0)
    assert highest.after == pytest.approx(1 / (1 + count / (127**2 * 12)), abs=0.03)
    assert lowest.before == lowest.after == pytest.approx(-0.3, abs=1e-3)
    after = cured.folded.deployed.by_name["logits"].weights["kernel"]
    changed = np.argwhere(after != kernel.astype(np.float32))
    assert changed.tolist() == [[5, 0]]


def test_learned_codes_keep_every_channels_grid() -> None:
    sick, ward = faulty_networks.coarse(), faulty_networks.ward("int8")
    cured = adaround(sick, ward.material)
    moved = {c.layer for c in cured.changes if c.what == "codes moved"}
    assert "pw" in moved
    for name in moved:
        before, after = sick.graph.by_name[name], cured.folded.deployed.by_name[name]
        params, found = kernel_params(before, "int8"), kernel_params(after, "int8")
        np.testing.assert_allclose(found.scale, params.scale, rtol=1e-6)
        codes = quantize(after.kernel, found).astype(int)
        assert np.abs(codes - before.kernel / params.scale).max() < 1.01
        assert np.abs(codes).max() == 127
    corrected = REMEDIES["bias_correction"](sick, ward.material).folded
    assert ward.qkl(cured.folded) < ward.qkl(corrected)


def test_analytic_correction_by_hand() -> None:
    """- (W_q - W) E[x] of the pointwise layer, E[x] of the depthwise batch norm's ReLU."""
    healthy, ward = faulty_networks.healthy(), faulty_networks.ward("int8")
    cured = bias_correction_analytic(healthy, ward.material).folded
    norm = healthy.batch_norms["dw"]
    draws = np.random.default_rng(0).normal(size=(400_000, 1))
    expected = np.maximum(norm.beta + np.abs(norm.gamma) * draws, 0).mean(axis=0)
    kernel = healthy.graph.by_name["pw"].weights["kernel"][0, 0].astype(np.float64)
    scale = np.abs(kernel).max(axis=0) / 127
    error = np.floor(kernel / scale + 0.5) * scale - kernel
    shift = (
        cured.deployed.by_name["pw"].weights["bias"] - healthy.graph.by_name["pw"].weights["bias"]
    )
    np.testing.assert_allclose(shift, -expected @ error, atol=3e-5)


def test_mixed_precision_and_own_errors() -> None:
    sick, ward = faulty_networks.coarse(), faulty_networks.ward("int8")
    result = ward.result(sick)
    own = {row.name: row.own.sqnr_pooled_db.mean for row in result.layers}
    assert min(own.values()) == own["pw"]  # of one channel only, unlike in uint8
    uint8 = {r.name: r for r in faulty_networks.ward().result(sick).layers}
    assert own["pw"] > uint8["pw"].own.sqnr_pooled_db.mean + 3
    cured = mixed_precision(sick, ward.material, most_layers=1)
    assert ward.qkl(cured.folded) <= ward.qkl(sick)


def test_channels_with_their_own_grids_stretch_no_others() -> None:
    """What ruins uint8 is no finding in int8: dead and spanning channels have their own scales."""
    network = faulty_networks.coarse()
    results = {scheme: faulty_networks.ward(scheme).result(network) for scheme in OWN_RANGES}
    found = {scheme: {f.fault for f in diagnose(result)} for scheme, result in results.items()}
    assert "spanning_channel" in found["uint8"]
    assert not found["int8"] & {"dead_variance", "spanning_channel"}


def test_every_remedy_runs_and_is_measured(tmp_path: Path) -> None:
    model = faulty_networks.dead_model()
    data = images(40)
    names = [name for name in REMEDIES if name != "equalization_relu"]
    config = AnalysisConfig("tf", "int8", trials=1, calibration_size=16)
    done = remedy(model, data, names, config, tmp_path / "out")
    assert [stage.name for stage in done.stages[1:]] == [
        f"{k}_{name}" for k, name in enumerate(names, start=1)
    ]
    for stage in done.stages:
        assert stage.result.config["calibrator"] == "minmax"
        assert stage.result.config["own_ranges"] is True
        dtypes = {row.dtype for row in stage.result.layers}
        assert dtypes <= {"int8", "float32"}
    assert done.stages[1].remedied[0].changes  # two dead channels
    assert (
        json.loads((tmp_path / "out/0_none/results.json").read_text())["config"]["scheme"] == "int8"
    )


def test_the_choice_of_remedies_and_sensitivity(tmp_path: Path) -> None:
    data = images(24)
    config = AnalysisConfig("tf", "int8", trials=1, calibration_size=12)
    done = remedy(residual_net(), data, ("auto",), config)
    assert len(done.choices) == 1
    found = sensitivity(residual_net(), data, config, tmp_path)
    record = json.loads((tmp_path / "sensitivity.json").read_text())
    assert record["int8"]["qkl_div"] == found.quantized.distance
    assert len(record["layers"]) == 5


def test_what_is_refused() -> None:
    k = keras.layers
    x = inputs = keras.Input((12, 12, 3))
    x = k.Conv2D(4, 3, activation="elu", name="stem")(x)
    model = keras.Model(inputs, k.Dense(4)(k.GlobalAveragePooling2D()(x)))
    config = AnalysisConfig("tf", "int8", trials=1, calibration_size=4)
    with pytest.raises(UnsupportedModelError, match="remedies does not take these layers; int8"):
        remedy(model, images(12), ("weight_clipping",), config)
    with pytest.raises(ValueError, match="remedies are for schemes uint8 and int8"):
        remedy(model, images(12), ("weight_clipping",), replace(config, scheme="int16x8"))


def test_layers_of_one_kernel_keep_biases_of_their_own() -> None:
    """The converter stores the equal kernels of two hard sigmoids once; their biases differ."""
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((12, 12, 3))
    for name in ("first", "second"):
        x = keras.layers.Conv2D(8, 3, padding="same", name=name)(x)
        x = keras.layers.Activation("hard_silu", name=f"{name}_swish")(x)
    x = keras.layers.Dense(4, name="logits")(keras.layers.GlobalAveragePooling2D()(x))
    config = replace(faulty_networks.CONFIG, scheme="int8", calibration_size=24)
    data = Dataset("images", faulty_networks.photographs(36))
    done = remedy(keras.Model(inputs, x), data, ["bias_correction"], config)
    assert [stage.name for stage in done.stages] == ["0_none", "1_bias_correction"]
    folded = done.stages[1].folded[0]
    images = CalibrationImages(data.x_test, np.arange(24), config)
    found = to_tflite(folded.deployed, images.ranges(folded), (), "int8")
    kernels = [pair.kernel for pair in found.pairs if "sigmoid" in pair.row.name]
    assert len(set(kernels)) < len(kernels)
    node = folded.deployed.by_name["second"]
    moved = replace(node, weights={**node.weights, "bias": node.weights["bias"] + np.float32(1)})
    changed = faulty_networks.with_node(folded, moved).graph
    with pytest.raises(ConversionError, match=r"layer 'second': biases are not those"):
        check_channels(changed, found.pairs, found.model)
