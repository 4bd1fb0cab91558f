import math

import numpy as np
import pytest

from tfqdyn.measurement.layerstats import HistogramConfig, PairSums, ValueSums, weight_stats
from tfqdyn.numerics import metrics
from tfqdyn.numerics.grid import QuantParams, RealGrid, dequantize, from_range, quantize
from tfqdyn.quantization.calibration import SiteRange

stats = pytest.importorskip("scipy.stats")


def site(
    low: float, high: float, observed: tuple[float, float] | None = None, channels: int = 5
) -> SiteRange:
    """A calibrated range, and the observed extrema where they are others."""
    ends = np.zeros(channels), np.ones(channels)
    return SiteRange(low, high, *(observed or (low, high)), *ends, np.ones(4, np.int64))


def layer(rng: np.random.Generator, images: int = 9) -> np.ndarray:
    """Activations [N, H, W, C] of a ReLU layer whose channels differ in size."""
    x = rng.normal(size=(images, 4, 6, 5)) * [0.1, 1.0, 2.0, 0.0, 5.0]
    return np.maximum(x, 0).astype(np.float32)


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, QuantParams]:
    x = layer(rng)
    params = from_range(0.0, 8.0)
    noisy = x + rng.normal(0, 0.05, x.shape)
    return x, quantize(noisy, params), params


def sums_of(x, q, params, step: int, values: ValueSums | None = None) -> PairSums:
    sums = PairSums(site(0.0, 8.0), params, 5, HistogramConfig())
    for start in range(0, len(x), step):
        sums.add(x[start : start + step], q[start : start + step], values)
    return sums


def test_figures_against_the_plain_metrics(pair) -> None:
    x, q, params = pair
    back = dequantize(q, params)
    sums = sums_of(x, q, params, 4)
    assert sums.qmse == pytest.approx(metrics.mean_squared_error(x, back), rel=1e-12)
    assert sums.sqnr_pooled_db == pytest.approx(metrics.sqnr_db(x, back), rel=1e-12)
    per_image = [metrics.sqnr_db(a, b) for a, b in zip(x, back, strict=True)]
    assert sums.sqnr_db == pytest.approx(np.mean(per_image), rel=1e-12)
    for channel in (0, 1, 2, 4):
        expected = metrics.sqnr_db(x[..., channel], back[..., channel])
        assert sums.channel_sqnr_db[channel] == pytest.approx(expected, rel=1e-12)


def test_histograms_and_divergences_against_numpy(pair) -> None:
    x, q, params = pair
    sums = sums_of(x, q, params, 2)
    low, high = sums.edges
    clipped = np.clip(x.astype(np.float64), low, high)
    p = np.histogram(clipped, 128, (low, high))[0]
    back = np.histogram(dequantize(q, params), 128, (low, high))[0]
    found_p, found_q = sums.histograms
    assert (found_p == p).all()
    assert (found_q == back).all()
    a, b = ((c / c.sum() + 1e-9) / (1 + 128e-9) for c in (p, back))
    entropy, qce, qkl = sums.divergences
    assert entropy == pytest.approx(stats.entropy(a), rel=1e-9)
    assert qkl == pytest.approx(stats.entropy(a, b), rel=1e-9)
    assert qce == pytest.approx(stats.entropy(a) + stats.entropy(a, b), rel=1e-9)


DATA = {
    "random": lambda rng: rng.normal(size=(6, 3, 4, 5)),
    "constant": lambda rng: np.full((6, 3, 4, 5), 0.7),
    "zero": lambda rng: np.zeros((6, 3, 4, 5)),
    "clipped": lambda rng: 5.0 * rng.normal(size=(6, 3, 4, 5)),
    "negative": lambda rng: -rng.uniform(0.1, 2.0, size=(6, 3, 4, 5)),
}
"""Values in and, where they are clipped, beyond [-2, 2]."""
SUMMED = {
    "mean_squared_error": lambda sums: sums.qmse,
    "sqnr_db": lambda sums: sums.sqnr_pooled_db,
    "kl_divergence": lambda sums: sums.divergences[2],
}
"""What the loops come to for every documented formula."""


@pytest.mark.parametrize("codes", [True, False], ids=["codes", "values"])
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", metrics.METRICS)
def test_loops_compute_every_documented_formula(
    name: str, data: str, codes: bool, rng: np.random.Generator
) -> None:
    x = DATA[data](rng).astype(np.float32)
    params = from_range(-2.0, 2.0)
    q = quantize(x + rng.normal(0, 0.1, x.shape) * (x != 0), params)
    back = dequantize(q, params) if codes else dequantize(q, params).astype(np.float32)
    sums = PairSums(site(-2.0, 2.0), params if codes else None, 5, HistogramConfig())
    for start in range(0, len(x), 4):
        sums.add(x[start : start + 4], (q if codes else back)[start : start + 4])
    if name == "kl_divergence":
        low, high = sums.edges
        counts = (
            np.histogram(np.clip(v.astype(np.float64), low, high), 128, (low, high))[0]
            for v in (x, back)
        )
        expected = metrics.kl_divergence(*map(metrics.probabilities, counts))
    else:
        expected = getattr(metrics, name)(x, back)
    assert SUMMED[name](sums) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("step", [1, 3, 9])
def test_batch_size_changes_nothing(pair, step: int) -> None:
    x, q, params = pair
    whole, values = ValueSums(), ValueSums()
    a, b = sums_of(x, q, params, 9, whole), sums_of(x, q, params, step, values)
    assert (a.totals == b.totals).all()
    assert (a.channels == b.channels).all()
    assert all((m == n).all() for m, n in zip(a.histograms, b.histograms, strict=True))
    assert (whole.sums == values.sums).all()


def test_merging_descriptions_equals_adding(pair) -> None:
    """As results are made of trials that score different images."""
    x, q, params = pair
    whole, *parts = (ValueSums() for _ in range(3))
    sums_of(x, q, params, 9, whole)
    sums_of(x[:4], q[:4], params, 4, parts[0])
    sums_of(x[4:], q[4:], params, 5, parts[1])
    merged = parts[0].merge(parts[1])
    assert merged.sums == pytest.approx(whole.sums, rel=1e-14)
    assert merged.kurtosis == pytest.approx(whole.kurtosis, rel=1e-10)


def test_values_are_described(pair) -> None:
    x, q, params = pair
    values = ValueSums()
    sums_of(x, q, params, 4, values)
    assert values.sparsity == np.mean(x == 0)
    assert values.kurtosis == pytest.approx(stats.kurtosis(x.astype(float), axis=None), rel=1e-9)
    assert values.rms == pytest.approx(np.sqrt(np.mean(x.astype(float) ** 2)), rel=1e-12)


def test_layers_in_fp32_are_compared_by_value(pair) -> None:
    x, q, params = pair
    back = dequantize(q, params).astype(np.float32)
    sums = PairSums(site(0.0, 8.0), None, 5, HistogramConfig(bins=64))
    sums.add(x, back)
    assert sums.qmse == pytest.approx(metrics.mean_squared_error(x, back), rel=1e-12)
    assert sums.clipped_share == 0.0
    expected = np.histogram(np.clip(back, 0, 8).astype(float), 64, (0.0, 8.0))[0]
    assert (sums.histograms[1] == expected).all()


def test_shares_beyond_the_edges(rng: np.random.Generator) -> None:
    x = layer(rng)
    params = from_range(0.0, 2.0)
    sums = PairSums(site(0.0, 3.0), params, 5, HistogramConfig())
    sums.add(x, quantize(x, params))
    assert sums.outside_share == pytest.approx(np.mean(x > 3.0), rel=1e-12)
    top = float(params.range[1]) + float(params.scale) / 2
    assert sums.clipped_share == pytest.approx(np.mean(x > top), rel=1e-12)
    assert sums.histograms[0].sum() == x.size


def test_only_what_saturates_is_clipped() -> None:
    """On the grid 0, 1, ..., 255 the values -0.4 and 255.4 lose nothing, -0.6 and 255.6 do."""
    params = QuantParams(np.asarray(1.0), np.asarray(0))
    x = np.array([-0.6, -0.4, 7.0, 255.4, 255.6], np.float32).reshape(1, 1, 5)
    sums = PairSums(site(0.0, 255.0), params, 5, HistogramConfig())
    sums.add(x, quantize(x, params))
    assert sums.clipped_share == 2 / 5
    rounded = RealGrid(0.0, 3.0, 1.0)  # 0, 1, 2, 3
    sums = PairSums(site(0.0, 3.0), rounded, 5, HistogramConfig())
    sums.add(np.array([-0.6, -0.4, 2.0, 3.4, 3.6], np.float32).reshape(1, 1, 5), x * 0)
    assert sums.clipped_share == 2 / 5


def test_clipping_shows_in_the_histograms() -> None:
    """A calibrator cuts 8 to 4: a tenth of the values saturates at 4, far from where they were.

    Over the observed [0, 8] they lie in bins that the quantized tensor leaves empty.
    """
    x = np.concatenate([np.linspace(0, 4, 90), np.linspace(7, 8, 10)]).astype(np.float32)
    x = x.reshape(1, 20, 5)
    params = from_range(0.0, 4.0)
    sums = PairSums(site(0.0, 4.0, (0.0, 8.0)), params, 5, HistogramConfig())
    sums.add(x, quantize(x, params))
    assert sums.edges == (0.0, 8.0)
    p, q = sums.histograms
    assert (p[112:].sum(), q[112:].sum()) == (10, 0)  # 7 and 8 are bins 112 and 127
    assert q[63:65].sum() >= p[63:65].sum() + 10
    assert sums.divergences[2] > 0.1 * math.log(1e-2 / 1e-9)
    assert sums.outside_share == 0.0


def test_edges_are_the_union_of_extrema_and_grid() -> None:
    params = from_range(-1.0, 2.0)
    low, high = map(float, params.range)
    for observed in [(-3.0, 1.0), (-0.5, 5.0), (0.0, 1.0)]:
        found = PairSums(site(-1.0, 2.0, observed), params, 5, HistogramConfig()).edges
        assert found == (min(observed[0], low), max(observed[1], high))


def test_degenerate_layers() -> None:
    x = np.zeros((2, 3, 3, 5), np.float32)
    params = from_range(0.0, 0.0)
    sums, values = PairSums(site(0.0, 0.0), params, 5, HistogramConfig()), ValueSums()
    sums.add(x, quantize(x, params), values)
    assert sums.qmse == 0.0
    assert sums.sqnr_db == math.inf
    assert sums.divergences[2] == pytest.approx(0.0, abs=1e-12)
    assert values.sparsity == 1.0
    assert math.isnan(values.kurtosis)


def test_the_mean_of_decibels_leaves_infinite_images_out() -> None:
    """Images of 20 and 40 dB, a blank one, and one that is all error: the mean is 30 dB."""
    x = np.full((4, 1, 1, 5), 1.0, np.float32)
    error = np.array([0.1, 0.01, 0.0, 0.5], np.float32).reshape(4, 1, 1, 1)
    x[2:] = 0.0
    sums = PairSums(site(0.0, 1.0), None, 5, HistogramConfig())
    sums.add(x, x + error)
    assert sums.sqnr_db == pytest.approx(30.0, abs=1e-4)
    assert sums.sqnr_infinite == 2
    pooled = 10 * math.log10(2 / (0.01 + 0.0001 + 0.25))
    assert sums.sqnr_pooled_db == pytest.approx(pooled, abs=1e-4)


@pytest.mark.parametrize(("error", "expected"), [(0.0, math.inf), (0.5, -math.inf)])
def test_where_no_image_has_a_finite_sqnr(error: float, expected: float) -> None:
    x = np.zeros((3, 1, 1, 5), np.float32)
    sums = PairSums(site(0.0, 1.0), None, 5, HistogramConfig())
    sums.add(x, x + np.float32(error))
    assert (sums.sqnr_db, sums.sqnr_infinite) == (expected, 3)


def test_weight_stats_spelled_by_hand() -> None:
    kernel = np.array([[0.0, 1.0], [4.0, 2.0]], np.float32)
    found = weight_stats(kernel, (1,), 4)
    assert (found.range, found.average_precision, found.sparsity) == (4.0, 0.625, 0.25)
    counts = [1, 1, 1, 1]  # 0, 1, 2 and 4 each fall into a bin of their own: 0-1, 1-2, 2-3, 3-4
    assert found.kl_to_uniform == pytest.approx(metrics.kl_to_uniform(counts), abs=1e-12)
    assert found.kurtosis == pytest.approx(stats.kurtosis(kernel, axis=None), rel=1e-6)
    constant = weight_stats(np.ones((3, 3, 2, 1), np.float32), (2, 3), 8)
    assert (constant.range, constant.average_precision) == (0.0, 1.0)
    assert constant.kl_to_uniform == pytest.approx(math.log(8))
