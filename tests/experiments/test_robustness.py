"""Robust training and quantization-aware recovery: what they plant, and the real entry."""

import json
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import models
from experiments import qat_recovery, robust_training


def small() -> keras.Model:
    keras.utils.set_random_seed(0)
    network = models.BUILDERS["dws_convnet"](
        input_shape=(8, 8, 1), num_classes=10, width=0.125, dense_units=(8,), dropout=0.0
    )
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.beta.assign(np.full(layer.beta.shape, 0.1, np.float32))
    return network


def test_planting_leaves_the_function_and_spreads_the_channels() -> None:
    network = small()
    x = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 1)).astype(np.float32)
    before = np.asarray(network(x))
    gamma = np.asarray(network.get_layer("conv_dw_1_bn").gamma)
    qat_recovery.plant(network, 1.5, 0)
    np.testing.assert_allclose(np.asarray(network(x)), before, rtol=1e-4, atol=1e-6)
    factors = np.asarray(network.get_layer("conv_dw_1_bn").gamma) / gamma
    np.testing.assert_allclose(
        np.log(factors), 1.5 * np.random.default_rng(0).standard_normal(8), rtol=1e-4
    )
    with pytest.raises(ValueError, match="no layer conv_dw_1_bn"):
        qat_recovery.plant(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), 1.0, 0)


def test_rules_reach_every_kernel_but_the_first() -> None:
    for name, apply in robust_training.rules().items():
        network = small()
        apply(network)
        kernels = 8 if name == "l2_depthwise" else 18  # 8 blocks of two, and two dense layers
        assert len(network.losses) == (0 if name == "none" else kernels), name


def test_one_run_from_training_to_table(tmp_path: Path) -> None:
    flag = SimpleNamespace(
        workdir=tmp_path, dataset="digits", subset=64, epochs=1, width=0.125, rules=["kure"],
        trials=1, seed=0,
    )  # fmt: skip
    (row,) = robust_training.study(flag)
    assert json.loads((tmp_path / "kure" / "figures.json").read_text())["name"] == row.name
    assert 1.5 < row.kurtosis < 2.5  # Glorot uniform kernels begin at 1.8
    assert set(row.quantized) == {"uint8", "W4A8", "W4A8 per channel", "W4A8 mixed", "W4A4"}
    assert (tmp_path / "kure" / "W4A8_mixed" / "results.json").exists()
    assert robust_training.table_of([row]).row_count == 1
    with pytest.raises(ValueError, match=r"'alignment', .*received \['l3'\]"):
        robust_training.study(SimpleNamespace(rules=["l3"]))
