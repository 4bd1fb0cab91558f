"""The real MobileNet-V1 on real photographs: the papers' collapse, and where it comes from."""

import keras
import numpy as np
import pytest

from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.pipeline import analyze
from tfqdyn.results import RunResult

pytestmark = pytest.mark.realdata
DEAD = ("conv_dw_1", "conv_dw_2", "conv_dw_3", "conv_dw_4", "conv_dw_9", "conv_dw_10", "conv_dw_13")


@pytest.fixture(scope="module")
def result(real_mobilenet: keras.Model, real_photographs: Dataset) -> RunResult:
    config = AnalysisConfig(preprocessing="tf", trials=2, max_images=200)
    return analyze(real_mobilenet, real_photographs, config)


def test_eight_bits_destroy_it(result: RunResult) -> None:
    assert result.summary.fp32_accuracy >= 0.88
    assert max(result.summary.quantized_accuracy.trials) <= 0.10


def test_layers_with_dead_channels_stand_out(result: RunResult) -> None:
    rows = {row.name: row for row in result.layers if row.folded_weights is not None}
    depthwise = [row for row in rows.values() if row.kind == "depthwise"]
    spans = {r.name: r.folded_weights.range / r.folded_weights.average_precision for r in depthwise}
    assert sorted(spans, key=lambda name: -spans[name])[:7] == sorted(
        DEAD, key=lambda name: -spans[name]
    )
    for index in range(1, 27, 2):
        layer, before, after = (result.layers[index + i] for i in (0, -1, 1))
        if layer.name in DEAD:
            assert layer.folded_weights.range > max(
                before.folded_weights.range, after.folded_weights.range
            )


def test_numbers_are_the_papers(result: RunResult) -> None:
    numbers = {row.number: row.kind for row in result.layers if row.number}
    assert len(numbers) == 28
    assert all(numbers[n] == "depthwise" for n in range(2, 27, 2))
    assert all(numbers[n] == "pointwise" for n in range(3, 29, 2))


@pytest.mark.parametrize("name", ["ResNet50", "MobileNetV2", "VGG16"])
def test_other_families_are_paired_whole(name: str, real_photographs: Dataset) -> None:
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, input_shape=(96, 96, 3))
    small = real_photographs.x_test[:8, 64:160, 64:160]
    data = Dataset("crops", np.ascontiguousarray(small), real_photographs.y_test[:8])
    config = AnalysisConfig(preprocessing="tf", trials=1, calibration_size=4)
    found = analyze(model, data, config)
    assert all(row.quantization[0] is not None for row in found.layers)
    kernels = sum(row.number is not None for row in found.layers)
    assert kernels == {"ResNet50": 54, "MobileNetV2": 53, "VGG16": 16}[name]


@pytest.mark.parametrize(
    ("scheme", "least", "most"), [("int8", 0.83, 1.0), ("int8_per_tensor", 0.0, 0.1)]
)
def test_scales_a_channel_save_it(
    scheme: str, least: float, most: float, real_mobilenet: keras.Model, real_photographs: Dataset
) -> None:
    config = AnalysisConfig(preprocessing="tf", trials=1, max_images=100, scheme=scheme)
    found = analyze(real_mobilenet, real_photographs, config)
    assert len(found.layers) == 30
    assert found.summary.fp32_accuracy == pytest.approx(0.87)
    assert least <= found.summary.quantized_accuracy.mean <= most
