"""A file that the analysis wrote, analyzed as anybody's: every figure is the same."""

from dataclasses import asdict, replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import images, randomize

from tfqdyn import datasets, pipeline
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.numerics.grid import dequantize, quantize
from tfqdyn.quantization.conversion import to_tflite
from tfqdyn.quantization.fakequant import on_grid, quantization_of
from tfqdyn.results import RunResult
from tfqdyn.schemes import SCHEMES

CONFIG = AnalysisConfig(trials=1, calibration_size=6)


def tiny_net() -> keras.Model:
    k = keras.layers
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((8, 8, 3), name="images")
    x = k.Conv2D(4, 3, padding="same", name="stem")(x)
    x = skip = k.ReLU(6.0, name="stem_relu")(x)
    x = k.DepthwiseConv2D(3, padding="same", use_bias=False, name="dw")(x)
    x = k.BatchNormalization(name="dw_bn")(x)
    x = k.Concatenate(name="concat")([k.Add(name="add")([x, skip]), skip])
    x = k.GlobalAveragePooling2D(name="gap")(x)
    return randomize(keras.Model(inputs, k.Dense(4, activation="softmax", name="logits")(x)))


def assert_same(one: RunResult, other: RunResult) -> None:
    """Every figure of every layer and of the whole network; NaN equals NaN."""
    for a, b in zip(one.layers, other.layers, strict=True):
        np.testing.assert_equal(asdict(a), asdict(b), err_msg=a.name)
    np.testing.assert_equal(asdict(one.summary), asdict(other.summary))


@pytest.mark.parametrize(
    ("preprocessing", "scheme"),
    [
        *((p, s) for p in datasets.PREPROCESSING for s in ("uint8", "int8")),
        *(("tf", s) for s in SCHEMES if s not in ("uint8", "int8")),
    ],
)
def test_own_files_give_the_same_figures(preprocessing: str, scheme: str) -> None:
    config = replace(CONFIG, preprocessing=preprocessing, scheme=scheme)
    data = images(12, size=8)
    one = pipeline.analyze(tiny_net(), data, config)
    assert_same(one, pipeline.analyze_file(tiny_net(), one.tflite[0], data, config))


@pytest.mark.realdata
def test_own_file_of_the_real_mobilenet(
    real_mobilenet: keras.Model, real_photographs: Dataset
) -> None:
    config = AnalysisConfig(preprocessing="tf", trials=1, calibration_size=32, max_images=60)
    one = pipeline.analyze(real_mobilenet, real_photographs, config)
    assert len(one.layers) == 30
    assert_same(one, pipeline.analyze_file(real_mobilenet, one.tflite[0], real_photographs, config))


PIXELS = np.arange(256).reshape(1, 16, 16, 1)


@pytest.mark.parametrize("mode", list(datasets.PREPROCESSING))
def test_emulated_images_are_the_files(mode: str) -> None:
    """What remedies, training and simulation round before there is a file."""
    graph = fold_batchnorm(lower(tiny_net())).graph
    pixels = datasets.preprocess(np.repeat(PIXELS, 3, axis=-1).astype(np.uint8), mode)
    ranges = {row.name: (-1.0, 5.0) for row in graph.rows}
    ranges[graph.nodes[0].name] = (float(pixels.min()), float(pixels.max()))
    expected = quantization_of(graph, ranges)[graph.nodes[0].name]
    found = to_tflite(graph, ranges).input_params
    assert (found.scale, found.zero_point) == (expected.scale, expected.zero_point)
    real = dequantize(quantize(pixels, found), found).astype(np.float32)
    emulated = on_grid(tf.constant(pixels), float(found.scale), int(found.zero_point), 255)
    np.testing.assert_array_equal(emulated.numpy(), real)


def test_pixels_between_two_codes_spelled_by_hand() -> None:
    """Pixel 254 is 253 / 255 in [-1, 1]: 126.5 steps of 2 / 255.

    Of the float32 number 0.00784313772, which the file holds, it is 126.49999 steps: code 254, and
    not 255.
    """
    graph = fold_batchnorm(lower(tiny_net())).graph
    ranges = {row.name: (-1.0, 5.0) for row in graph.rows}
    ranges[graph.nodes[0].name] = (-1.0, 1.0)
    params = to_tflite(graph, ranges).input_params
    assert params.zero_point == 128
    assert float(params.scale) == float(np.float32(2 / 255)) > 2 / 255
    pixels = datasets.preprocess(PIXELS.astype(np.uint8), "tf").reshape(-1)
    codes = quantize(pixels, params)
    assert codes[254] == 254
    asked = np.clip(np.floor(pixels.astype(np.float64) / (2 / 255) + 0.5) + 128, 0, 255)
    assert asked[254] == 255
    assert (codes != asked).sum() == 126  # of 256; 127 but for pixel 255, which saturates
