"""The estimate of a layer's own error, against its measurement."""

import dataclasses
from functools import cache
from math import log10

import keras
import numpy as np
import pytest
from conftest import images

from tfqdyn.config import AnalysisConfig
from tfqdyn.pipeline import analyze
from tfqdyn.results import InputRecord, RunResult, estimates
from tfqdyn.show import tables

CONFIG = AnalysisConfig(preprocessing="tf", trials=1, calibration_size=24, calibrator="minmax")


@cache
def analyzed(preprocessing: str) -> RunResult:
    keras.utils.set_random_seed(1)
    k = keras.layers
    source = keras.Input((12, 12, 3), name="images")
    x = k.Conv2D(8, 3, padding="same", activation="relu", name="stem")(source)
    x = k.Dense(4, name="logits")(k.GlobalAveragePooling2D(name="gap")(x))
    config = dataclasses.replace(CONFIG, preprocessing=preprocessing, own_error=True)
    return analyze(keras.Model(source, x), images(24), config)


@pytest.mark.parametrize("preprocessing", ["none", "unit", "tf", "caffe"])
def test_the_first_layer_is_estimated_with_the_rms_of_its_images(preprocessing: str) -> None:
    result = analyzed(preprocessing)
    raw = images(24).x_test.astype(np.float64)
    shown = {
        "none": raw,
        "unit": raw / 255,
        "tf": raw / 127.5 - 1,
        "caffe": raw[..., ::-1] - [103.939, 116.779, 123.68],
    }[preprocessing]
    rms = float(np.sqrt(np.mean(shown**2)))
    assert result.data.input == InputRecord("images", pytest.approx(rms, rel=1e-6))
    stem = result.layers[0]
    assert stem.folded_weights is not None
    assert stem.own is not None
    weight_step = stem.folded_weights.range / 255
    output_step = stem.quantization[0][0]
    noise = 27 * rms**2 * weight_step**2 / 12 + output_step**2 / 12  # 3 x 3 taps of 3 channels
    (found,) = [r for r in estimates.worst_layers(result, 20) if r.layer.name == "stem"]
    assert found.own_sqnr_db == pytest.approx(10 * log10(stem.rms**2 / noise), abs=0.05)
    assert found.own_sqnr_db == pytest.approx(stem.own.sqnr_db.mean, abs=3.0)


def test_what_reads_no_measured_values_is_named() -> None:
    result = analyzed("tf")
    old = dataclasses.replace(result, data=dataclasses.replace(result.data, input=None, inputs=()))
    assert estimates.not_estimated(result) == []
    assert estimates.not_estimated(old) == ["stem"]
    assert "stem" not in [reason.layer.name for reason in estimates.worst_layers(old, 20)]
    assert "stem" in str(tables.worst_table(old).caption)
    assert tables.worst_table(result).caption is None
