import math

import keras
import numpy as np
import pytest

from tfqdyn.numerics import classification


def test_output_metrics_spelled_by_hand() -> None:
    p, q = np.array([0.5, 0.5]), np.array([0.8, 0.2])
    found = classification.compare_outputs([np.log(p)], [np.log(q)])
    assert found.qmse == pytest.approx((0.3**2 + 0.3**2) / 2)
    assert found.qce == pytest.approx(-0.5 * math.log(0.8) - 0.5 * math.log(0.2))
    assert found.qkl_div == pytest.approx(0.5 * math.log(0.5 / 0.8) + 0.5 * math.log(0.5 / 0.2))


def test_what_is_not_a_number_stays_that() -> None:
    assert math.isnan(classification.compare_outputs([[0.0, 1.0]], [[0.0, np.nan]]).qkl_div)


def test_output_metrics_against_keras(rng: np.random.Generator) -> None:
    a, b = rng.normal(0, 4, (50, 7)), rng.normal(0, 4, (50, 7))
    p = classification.softmax(a).astype(np.float32)
    q = classification.softmax(b).astype(np.float32)
    found = classification.compare_outputs(a, b)
    assert found.qce == pytest.approx(float(keras.losses.CategoricalCrossentropy()(p, q)), 1e-4)
    assert found.qkl_div == pytest.approx(float(keras.losses.KLDivergence()(p, q)), 1e-4)
    assert found.qmse == pytest.approx(float(np.mean((p - q) ** 2)), 1e-4)


def test_ties_go_to_the_lowest_index() -> None:
    scores = np.array([[7, 7, 0], [7, 7, 0]], np.uint8)
    assert classification.top_k_accuracy(scores, [0, 1]) == 0.5
    assert classification.top_k_accuracy(scores, [0, 1], k=2) == 1.0


def test_top_k_against_sklearn(rng: np.random.Generator) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    scores, labels = rng.normal(size=(100, 30)), rng.integers(0, 30, 100)
    for k in (1, 5):
        expected = sklearn_metrics.top_k_accuracy_score(labels, scores, k=k, labels=np.arange(30))
        assert classification.top_k_accuracy(scores, labels, k) == pytest.approx(expected)


def test_percent_decrease() -> None:
    assert classification.percent_decrease(0.8, 0.6) == pytest.approx(25.0)
    assert classification.percent_decrease(0.6, 0.8) == pytest.approx(100 / 3)
    assert math.isnan(classification.percent_decrease(0.0, 0.1))
