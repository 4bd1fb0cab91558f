import math

import numpy as np
import pytest

from tfqdyn.numerics import metrics

stats = pytest.importorskip("scipy.stats")
skmetrics = pytest.importorskip("sklearn.metrics")


def test_range_and_precision_spelled_by_hand() -> None:
    kernel = np.array([[0.0, 1.0], [4.0, 2.0]])  # channels last: ranges 4 and 1, tensor 4
    assert metrics.dynamic_range(kernel) == 4.0
    assert metrics.channel_ranges(kernel, -1).tolist() == [4.0, 1.0]
    assert metrics.average_precision(kernel, -1) == (4 / 4 + 1 / 4) / 2


def test_channels_of_a_depthwise_kernel_are_axes_2_and_3(rng: np.random.Generator) -> None:
    kernel = rng.normal(size=(3, 3, 4, 2))
    own = [np.ptp(kernel[:, :, c, m]) for c in range(4) for m in range(2)]
    assert metrics.channel_ranges(kernel, (2, 3)) == pytest.approx(own, rel=1e-15)


def test_a_constant_tensor_has_range_0_and_precision_1() -> None:
    assert metrics.dynamic_range(np.full((2, 3), 5.0)) == 0.0
    assert metrics.average_precision(np.full((2, 3), 5.0), -1) == 1.0


def test_mse_and_sqnr_spelled_by_hand() -> None:
    reference, quantized = [1.0, 2.0, 2.0], [1.0, 1.0, 4.0]
    assert metrics.mean_squared_error(reference, quantized) == (0 + 1 + 4) / 3
    assert metrics.sqnr_db(reference, quantized) == pytest.approx(10 * math.log10(9 / 5))
    assert metrics.mean_squared_error(reference, quantized) == pytest.approx(
        skmetrics.mean_squared_error(reference, quantized), rel=1e-15
    )


def test_sqnr_of_degenerate_tensors() -> None:
    assert metrics.sqnr_db([1.0], [1.0]) == math.inf
    assert metrics.sqnr_db([0.0], [0.0]) == math.inf
    assert metrics.sqnr_db([0.0], [1.0]) == -math.inf


def test_divergences_spelled_by_hand_and_against_scipy(rng: np.random.Generator) -> None:
    p, q = [0.5, 0.5], [0.25, 0.75]
    by_hand = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert metrics.kl_divergence(p, q) == pytest.approx(by_hand, rel=1e-15)
    assert metrics.entropy(p) == pytest.approx(math.log(2), rel=1e-15)
    assert metrics.cross_entropy(p, q) == pytest.approx(
        -0.5 * math.log(0.25) - 0.5 * math.log(0.75), rel=1e-15
    )
    a = metrics.probabilities(rng.integers(0, 9, 128))
    b = metrics.probabilities(rng.integers(0, 9, 128))
    assert metrics.kl_divergence(a, b) == pytest.approx(stats.entropy(a, b), rel=1e-12)
    assert metrics.entropy(a) == pytest.approx(stats.entropy(a), rel=1e-12)
    assert metrics.kl_divergence([1.0, 0.0], [0.0, 1.0]) == math.inf


def test_probabilities_gain_epsilon_and_are_renormalized() -> None:
    p = metrics.probabilities([3, 1, 0], epsilon=0.1)
    assert p == pytest.approx([0.85 / 1.3, 0.35 / 1.3, 0.1 / 1.3], rel=1e-15)
    with pytest.raises(ValueError, match="at least one above 0"):
        metrics.probabilities([0, 0])


def test_kl_to_uniform_of_extremes() -> None:
    assert metrics.kl_to_uniform(np.ones(64)) == 0.0
    assert metrics.kl_to_uniform(np.eye(1, 64)[0]) == pytest.approx(math.log(64), rel=1e-15)


def test_histograms_against_numpy(rng: np.random.Generator) -> None:
    x = rng.normal(size=(100, 7))
    assert (metrics.histogram(x, 32) == np.histogram(x, 32)[0]).all()
    assert metrics.histogram([5.0, 5.0], 4).tolist() == [2, 0, 0, 0]


def test_kurtosis_and_sparsity(rng: np.random.Generator) -> None:
    x = rng.normal(size=10_000)
    assert metrics.excess_kurtosis(x) == pytest.approx(stats.kurtosis(x), rel=1e-10)
    assert metrics.excess_kurtosis([-1.0, 1.0]) == -2.0
    assert math.isnan(metrics.excess_kurtosis([3.0, 3.0]))
    assert metrics.sparsity([0.0, 1.0, 0.0, 2.0]) == 0.5


PROBABILITIES = ("kl_divergence",)
"""Distances of histograms' probabilities, and not of tensors."""


def drawn(name: str, rng: np.random.Generator) -> np.ndarray:
    if name in PROBABILITIES:
        return metrics.probabilities(rng.integers(1, 50, size=64))
    return rng.normal(size=64)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_properties_of_distances(name: str, rng: np.random.Generator) -> None:
    distance, expected = getattr(metrics, name), metrics.METRICS[name]
    for _ in range(20):
        a, b = drawn(name, rng), drawn(name, rng)
        assert distance(a, a) == expected.on_equal
        assert (distance(a, b) == pytest.approx(distance(b, a))) == expected.symmetric
        if expected.non_negative:
            assert distance(a, b) >= 0


@pytest.mark.parametrize("bad", [[np.nan], [np.inf], []])
def test_values_that_are_no_numbers_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="must"):
        metrics.mean_squared_error(bad, bad)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"one shape, received \(2,\) and \(3,\)"):
        metrics.sqnr_db([1.0, 2.0], [1.0, 2.0, 3.0])
