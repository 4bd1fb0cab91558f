import math

import numpy as np
import pytest

from tfqdyn import metrics
from tfqdyn.affine import QuantParams, dequantize, from_range, quantize
from tfqdyn.calibration import SiteRange
from tfqdyn.layerstats import HistogramConfig, PairSums, ValueSums, weight_stats

stats = pytest.importorskip("scipy.stats")


def site(low: float, high: float, channels: int = 5) -> SiteRange:
    ends = np.zeros(channels), np.ones(channels)
    return SiteRange(low, high, *ends, np.ones(4, np.int64))


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


@pytest.mark.parametrize("step", [1, 3, 9])
def test_batch_size_changes_nothing(pair, step: int) -> None:
    x, q, params = pair
    whole, values = ValueSums(), ValueSums()
    a, b = sums_of(x, q, params, 9, whole), sums_of(x, q, params, step, values)
    assert (a.totals == b.totals).all()
    assert (a.channels == b.channels).all()
    assert all((m == n).all() for m, n in zip(a.histograms, b.histograms, strict=True))
    assert (whole.sums == values.sums).all()


def test_merging_equals_adding(pair) -> None:
    x, q, params = pair
    values = [ValueSums() for _ in range(3)]
    whole = sums_of(x, q, params, 9, values[0])
    merged = sums_of(x[:4], q[:4], params, 4, values[1]).merge(
        sums_of(x[4:], q[4:], params, 5, values[2])
    )
    assert merged.qmse == pytest.approx(whole.qmse, rel=1e-14)
    assert merged.sqnr_db == pytest.approx(whole.sqnr_db, rel=1e-14)
    assert merged.divergences == pytest.approx(whole.divergences, rel=1e-14)
    assert values[1].merge(values[2]).kurtosis == pytest.approx(values[0].kurtosis, rel=1e-10)
    with pytest.raises(ValueError, match="one trial"):
        whole.merge(PairSums(site(0.0, 9.0), from_range(0, 9), 5, HistogramConfig()))


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
    assert sums.clipped_share == pytest.approx(np.mean(x > float(params.range[1])), rel=1e-12)
    assert sums.histograms[0].sum() == x.size


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
