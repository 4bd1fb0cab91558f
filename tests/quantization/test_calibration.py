from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tfqdyn.measurement.sampling import draw
from tfqdyn.numerics.calibrators import Calibrator, mse_range
from tfqdyn.numerics.grid import dequantize, from_range, quantize
from tfqdyn.numerics.histogram import RangeHistogram
from tfqdyn.quantization.calibration import Observer, calibrate, records_kept

# TensorFlow's freeze_requantization_ranges, run for N records: (lo, hi) at 5 % and at 1 %
OBSERVED = {
    1: ((0, 0), (0, 0)), 5: ((0, 4), (0, 4)), 10: ((1, 9), (0, 9)), 20: ((1, 19), (0, 19)),
    30: ((2, 29), (0, 29)), 50: ((3, 48), (1, 49)), 100: ((5, 95), (1, 99)),
    200: ((10, 190), (2, 198)), 800: ((40, 760), (8, 792)), 1024: ((51, 973), (10, 1014)),
    2000: ((100, 1900), (20, 1980)),
}  # fmt: skip


@pytest.mark.parametrize("images", OBSERVED)
def test_records_kept_are_those_of_the_graph_transform_tool(images: int) -> None:
    for percentile, (low, high) in zip((5.0, 1.0), OBSERVED[images], strict=True):
        assert records_kept(images, percentile) == (low, images - 1 - high)


def activations(rng: np.random.Generator, images: int = 60) -> np.ndarray:
    x = rng.normal(size=(images, 5, 7, 4)) * [1.0, 0.0, 0.01, 30.0] + [0, 0, 0, 5]
    return np.maximum(x, -3).astype(np.float32)


def observed(x: np.ndarray, calibrator: Calibrator, step: int, order: int = 1) -> Observer:
    observer = Observer(x.shape[-1], len(x), calibrator)
    for start in range(0, len(x), step):
        observer.add(x[::order][start : start + step])
    return observer


def test_minmax(rng: np.random.Generator) -> None:
    x = activations(rng)
    found = observed(x, Calibrator("minmax", 0.0), 7).site_range(Calibrator("minmax", 0.0), 8)
    assert (found.low, found.high) == (x.min(), x.max())
    assert (found.channel_low == x.min(axis=(0, 1, 2))).all()
    assert (found.channel_high == x.max(axis=(0, 1, 2))).all()


def test_percentile_of_runs_sorts_each_images_extrema(rng: np.random.Generator) -> None:
    x = activations(rng)
    rule = Calibrator("percentile_of_runs", 5.0)
    found = observed(x, rule, 7).site_range(rule, 8)
    mins, maxs = np.sort(x.min(axis=(1, 2, 3))), np.sort(x.max(axis=(1, 2, 3)))
    assert (found.low, found.high) == (mins[3], maxs[57])  # round(60 * 5 %), round(60 * 95 %)
    channel_max = np.sort(x.max(axis=(1, 2)), axis=0)[57]
    assert (found.channel_high == channel_max).all()


def test_percentile_of_values_against_numpy(rng: np.random.Generator) -> None:
    x = activations(rng, 300)
    rule = Calibrator("percentile", 1.0)
    found = observed(x, rule, 50).site_range(rule, 8)
    low, high = np.percentile(x, [1, 99])
    step = 2 * float(np.abs(x).max()) / 8192
    assert found.low == pytest.approx(low, abs=step)
    assert found.high == pytest.approx(high, abs=step)
    expected = np.percentile(x, 99, axis=(0, 1, 2))
    resolution = 4 * np.abs(x).max(axis=(0, 1, 2)) / 512
    assert (np.abs(found.channel_high - expected) <= resolution).all()


def test_mse_range_beats_minmax_on_a_tensor_with_outliers(rng: np.random.Generator) -> None:
    x = rng.normal(size=(300, 16, 16, 4)).astype(np.float32)
    x[0, 0, 0, 0] = 9.0
    rule = Calibrator("mse", 0.0)
    found = observed(x, rule, 9).site_range(rule, 8)

    def error(low: float, high: float) -> float:
        params = from_range(low, high)
        return float(np.mean((dequantize(quantize(x, params), params) - x) ** 2))

    assert error(found.low, found.high) < 0.8 * error(x.min(), x.max())
    grid = [error(low, high) for low in (-5, -4.5, -4, -3.5) for high in np.linspace(9, 3, 13)]
    assert error(found.low, found.high) <= 1.05 * min(grid)
    assert mse_range(np.array([]), np.array([])) == (0.0, 0.0)


@pytest.mark.parametrize("name", ["minmax", "percentile", "percentile_of_runs", "mse"])
def test_neither_batches_nor_order_change_a_range(name: str, rng: np.random.Generator) -> None:
    x = activations(rng)
    rule = Calibrator(name, 3.0)
    a = observed(x, rule, 60).site_range(rule, 16)
    b = observed(x, rule, 7, order=-1).site_range(rule, 16)
    assert (a.low, a.high) == (b.low, b.high)
    assert (a.channel_low == b.channel_low).all()
    assert (a.channel_high == b.channel_high).all()
    assert (a.histogram == b.histogram).all()
    assert a.histogram.sum() == x.size


def test_what_is_kept_does_not_grow_with_the_images(rng: np.random.Generator) -> None:
    rule = Calibrator("minmax", 0.0)
    observer = observed(activations(rng, 200), rule, 10)
    assert len(observer.lowest) == len(observer.highest) == 1


def test_one_pass_serves_all_sites(rng: np.random.Generator) -> None:
    x = activations(rng, 20)
    rule = Calibrator("minmax", 0.0)
    chunks = [(x[i : i + 5], np.arange(i, min(i + 5, 18)), [b""]) for i in range(0, 20, 5)]
    with ThreadPoolExecutor(2) as executor:
        both = lambda images: [images, images * 2]  # noqa: E731
        sites = calibrate(both, chunks, 18, rule, 8, executor, ["one", "two"])
    assert sites[0].high == x[:18].max()  # the last chunk's filling is left out
    assert sites[1].high == 2 * x[:18].max()


def test_draws_are_seeded_and_distinct() -> None:
    assert (draw(100, 10, 0, 1) == draw(100, 10, 0, 1)).all()
    assert (draw(100, 10, 0, 1) != draw(100, 10, 0, 2)).any()
    assert len(set(draw(100, 100, 3, 0).tolist())) == 100
    assert draw(5, 64, 0, 0).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="at least one image"):
        draw(0, 64, 0, 0)


def test_infinite_activations_are_refused() -> None:
    observer = Observer(2, 1, Calibrator("minmax", 0.0))
    with pytest.raises(ValueError, match="NaN or infinite"):
        observer.add(np.array([[np.inf, 1.0]], np.float32))


@pytest.mark.parametrize(("name", "percentile"), [("median", 1.0), ("percentile", 50.0)])
def test_unknown_calibrators_are_refused(name: str, percentile: float) -> None:
    with pytest.raises(ValueError, match="must"):
        Calibrator(name, percentile)


def test_histogram_grows_without_moving_a_value(rng: np.random.Generator) -> None:
    values = np.concatenate([rng.normal(size=500), rng.normal(0, 1e4, 500), [0.0] * 10])
    values = values.astype(np.float32)[:, None]
    histogram = RangeHistogram(1, 1024)
    for value in np.array_split(values, 30):
        histogram.add(value, np.abs(value).max(axis=0))
    width = float(histogram.widths[0])
    expected = np.bincount(np.floor(values[values != 0] / width).astype(int) + 512, minlength=1024)
    assert (histogram.counts[0] == expected).all()
    assert histogram.zeros[0] == 10
    assert np.abs(values).max() / width > 256  # over half of a side is in use
