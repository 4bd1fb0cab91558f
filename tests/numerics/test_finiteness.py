"""NaN and infinity: refused before they become figures, and never places outside an array."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
from conftest import images, residual_net
from test_foreign import plain

from tfqdyn import datasets
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import DataError, Dataset
from tfqdyn.measurement.layerstats import HistogramConfig, PairSums, ValueSums
from tfqdyn.measurement.ownsums import OwnSums
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.lowering import lower
from tfqdyn.network.trace import UnsupportedModelError
from tfqdyn.numerics import loops
from tfqdyn.numerics.calibrators import Calibrator
from tfqdyn.numerics.classification import top_k_accuracy
from tfqdyn.numerics.finiteness import NonFiniteError, OverflowedError
from tfqdyn.numerics.grid import from_range, quantize
from tfqdyn.pipeline import analyze
from tfqdyn.quantization.calibration import Observer, SiteRange
from tfqdyn.quantization.checks import ConversionError, check_kernels
from tfqdyn.quantization.conversion import adopt, to_tflite
from tfqdyn.schemes import SCHEMES, SIMULATED
from tfqdyn.tflite.file import TfliteFileError, parse

CONFIG = AnalysisConfig(trials=1, calibration_size=4)
BROKEN = [np.nan, np.inf, -np.inf]
HUGE = 3e38


def site(channels: int) -> SiteRange:
    ends = np.zeros(channels), np.ones(channels)
    return SiteRange(0.0, 1.0, 0.0, 1.0, *ends, np.ones(4, np.int64))


def activations(value: float, at: tuple[int, ...] = (2, 1, 1, 3)) -> np.ndarray:
    """Four images [2, 5, 6]; one value of the third is `value`."""
    x = np.random.default_rng(0).uniform(0, 1, (4, 2, 5, 6)).astype(np.float32)
    x[at] = value
    return x


@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.parametrize("described", [True, False])
def test_comparisons_tell_the_image(value: float, described: bool) -> None:
    values = ValueSums() if described else None
    params = from_range(0, 1)
    x = activations(value)
    with pytest.raises(NonFiniteError, match="image 2 of those given") as refused:
        PairSums(site(6), params, 6, HistogramConfig()).add(
            x, quantize(activations(0.5), params), values
        )
    assert refused.value.image == 2
    with pytest.raises(NonFiniteError, match="image 2 of"):
        PairSums(site(6), None, 6, HistogramConfig()).add(activations(0.5), x, values)
    with pytest.raises(NonFiniteError, match="image 2 of"):
        OwnSums(None, 6).add(activations(0.5), x)


@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.parametrize("place", [(2, 0, 0, 0), (2, 1, 1, 3), (2, 1, 4, 5)])
@pytest.mark.parametrize("name", ["minmax", "percentile"])
def test_calibration_tells_the_image(value: float, place: tuple[int, ...], name: str) -> None:
    observer = Observer(6, 4, Calibrator(name, 1.0))
    with pytest.raises(NonFiniteError, match="image 2 of those given"):
        observer.add(activations(value, place))


@pytest.mark.parametrize("value", [*BROKEN, HUGE, -HUGE])
def test_histograms_stay_inside_their_arrays(value: float) -> None:
    """Every count lands in the array that was given, with a margin of guards around it."""
    x = np.full(5000, value, np.float32)
    guarded = np.zeros((loops.LANES + 2, 64), np.int64)
    index = np.empty(5000, np.int32)
    loops._count_values(x, 0.0, 1.0, 64, index, guarded[1:-1])
    assert guarded[1:-1].sum() == 5000
    assert not guarded[[0, -1]].any()
    for count, counts, zeros in (
        (
            lambda c, z: loops.count_signed(x, 1.0, c[1:2], z),
            np.zeros((3, 64), np.int64),
            np.zeros(1, np.int64),
        ),
        (
            lambda c, z: loops.count_signed_channels(x[:, None], np.ones(1), c[1:2], z),
            np.zeros((3, 64), np.int32),
            np.zeros(1, np.int64),
        ),
    ):
        count(counts, zeros)
        assert counts[1].sum() + zeros.sum() == 5000
        assert not counts[[0, 2]].any()


def loud_net() -> keras.Model:
    """Finite images of 3e38 overflow in `second`: 27 products of 3e38 and 1."""
    k = keras.layers
    layers = [
        keras.Input((8, 8, 3)), k.Conv2D(2, 1, name="first"), k.ReLU(),
        k.Conv2D(2, 3, name="second"), k.ReLU(), k.Flatten(), k.Dense(4, name="scores"),
    ]  # fmt: skip
    model = keras.Sequential(layers)
    for layer in model.layers:
        if layer.weights:
            layer.kernel.assign(np.full(layer.kernel.shape, 0.3 if layer.name == "first" else 1.0))
    return model


def with_huge(split: str, image: int) -> Dataset:
    """Images in [0, 1], one of them +-3e38."""
    rng = np.random.default_rng(1)
    arrays = {
        name: rng.uniform(0, 1, (6, 8, 8, 3)).astype(np.float32) for name in ("train", "test")
    }
    arrays[split][image] = np.where(rng.random((8, 8, 3)) < 0.9, HUGE, -HUGE)
    labels = np.arange(6) % 4
    return Dataset("huge", arrays["test"], labels, arrays["train"], labels)


@pytest.mark.parametrize("scheme", [*SCHEMES, SIMULATED])
def test_an_overflowing_layer_is_named_with_its_image(scheme: str) -> None:
    message = "layer 'second' of the fp32 network gives NaN or infinity for test image 4: "
    with pytest.raises(OverflowedError, match=message):
        analyze(loud_net(), with_huge("test", 4), dataclasses.replace(CONFIG, scheme=scheme))


def test_an_overflow_in_calibration_names_its_image() -> None:
    config = dataclasses.replace(CONFIG, calibration_size=6)
    message = "layer 'second' of the fp32 network gives NaN or infinity for calibration image 5"
    with pytest.raises(OverflowedError, match=message):
        analyze(loud_net(), with_huge("train", 5), config)


@pytest.mark.parametrize("mode", ["none", "tf", "torch"])
@pytest.mark.parametrize("value", [*BROKEN, 1e39])
def test_pixels_are_checked_as_the_network_reads_them(value: float, mode: str) -> None:
    x = np.zeros((5, 8, 8, 3))
    x[3, 1, 2, 0] = value
    with pytest.raises(DataError, match="image 3 holds NaN or infinity, or numbers beyond float32"):
        list(datasets.chunks(x, [0, 3, 4], 2, mode))


@pytest.mark.parametrize("value", BROKEN)
def test_weights_and_constants_of_a_model_in_memory_are_refused(value: float) -> None:
    model = residual_net()
    kernel, bias = model.get_layer("pw").get_weights()
    kernel[0, 0, 0, 0] = value
    model.get_layer("pw").set_weights([kernel, bias])
    with pytest.raises(UnsupportedModelError, match=r"NaN or infinite in: pw$"):
        analyze(model, images(4), CONFIG)
    k = keras.layers
    scaled = [keras.Input((4, 4, 3)), k.Rescaling(value, name="scaled"), k.Flatten(), k.Dense(2)]
    with pytest.raises(UnsupportedModelError, match=r"NaN or infinite in: scaled$"):
        lower(keras.Sequential(scaled))


@pytest.mark.parametrize(("role", "value"), [("variance", -0.5), ("gamma", 1e38)])
def test_folding_that_overflows_is_refused(role: str, value: float) -> None:
    model = residual_net()
    norm: Any = model.get_layer("dw_bn")
    getattr(norm, {"variance": "moving_variance"}.get(role, role)).assign(np.full(8, value))
    kernel: Any = model.get_layer("dw").kernel
    kernel.assign(kernel * 100)
    with pytest.raises(
        ValueError, match="folding batch norms makes weights NaN or infinite in: dw;"
    ):
        fold_batchnorm(lower(model))


@pytest.mark.parametrize("value", BROKEN)
def test_constants_of_a_file_are_refused(value: float) -> None:
    content = plain(residual_net(), quantized=False)
    stored = next(
        t
        for t in parse(content).tensors
        if t.data is not None and t.dtype == "float32" and t.data.size > 20
    )
    place = content.index(stored.data.tobytes())
    broken = content[:place] + np.float32(value).tobytes() + content[place + 4 :]
    with pytest.raises(TfliteFileError, match="constants that are NaN or infinite: ") as refused:
        adopt(fold_batchnorm(lower(residual_net())).graph, broken)
    assert repr(stored.name) in str(refused.value)


def test_a_weight_that_is_nan_is_no_tie() -> None:
    graph = fold_batchnorm(lower(residual_net())).graph
    ranges = dict.fromkeys([graph.nodes[0].name, *(node.name for node in graph)], (-1.0, 1.0))
    converted = to_tflite(graph, ranges)
    assert check_kernels(graph, converted.pairs, converted.model) == 0
    graph.by_name["pw"].weights["kernel"][0, 0, 0, 0] = np.nan
    with (
        pytest.raises(ConversionError, match="layer 'pw': 1 of 64 weights"),
        np.errstate(all="ignore"),
    ):
        check_kernels(graph, converted.pairs, converted.model)


def test_scores_that_are_no_numbers_are_not_counted_as_hits() -> None:
    with pytest.raises(ValueError, match="received NaN"):
        top_k_accuracy([[0.1, np.nan], [0.3, 0.2]], [1, 0])
