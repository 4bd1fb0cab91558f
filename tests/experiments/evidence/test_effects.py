"""Effects and their intervals, spelled by hand."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from experiments.evidence.effects import (
    Apart,
    Contrast,
    Correlation,
    Estimate,
    Given,
    Group,
    Missing,
    difference,
    mean,
)
from experiments.evidence.named import (
    OF_THESE,
    SEEDS,
    Place,
    Seeds,
    Weighted,
    agreement,
    excess_variance,
)


def keyed(*values: float) -> dict[tuple[str, int], float]:
    return {(f"n{at}", 0): value for at, value in enumerate(values)}


def estimated(sample: object) -> Estimate:
    found = sample.estimate()  # pyright: ignore[reportAttributeAccessIssue]
    assert isinstance(found, Estimate)
    return found


def test_a_mean_has_students_interval():
    found = estimated(mean(keyed(1.0, 2.0, 3.0)))
    half = 4.302652729749464 / math.sqrt(3)  # t of 2 degrees, deviation 1
    assert (found.value, found.number) == (2.0, 3)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half))
    test: Any = stats.ttest_1samp([1, 2, 3], 0, alternative="greater")
    assert found.p == pytest.approx(test.pvalue)


def test_seeds_of_a_network_are_one_unit():
    values = {("a", 0): 0.0, ("a", 1): 2.0, ("b", 0): 2.0, ("c", 0): 3.0}
    assert estimated(mean(values)) == estimated(mean(keyed(1.0, 2.0, 3.0)))


def test_a_difference_is_welchs():
    first, second = [3.0, 5.0, 4.0, 8.0], [1.0, 2.0, 2.5]
    found = estimated(difference(("a", keyed(*first)), ("b", keyed(*second))))
    test: Any = stats.ttest_ind(first, second, equal_var=False, alternative="greater")
    both: Any = stats.ttest_ind(first, second, equal_var=False)
    ends = both.confidence_interval(0.95)
    assert found.p == pytest.approx(test.pvalue)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))


def test_one_network_is_compared_with_one_more_of_the_others():
    contrast = Contrast((Group(1.0, "a", {("a", 0): 5.0}), Group(-1.0, "b", keyed(1.0, 2.0, 3.0))))
    found = estimated(contrast)
    half = 4.302652729749464 * math.sqrt(1 + 1 / 3)
    assert (found.value, found.low) == pytest.approx((3.0, 3.0 - half))


def test_measured_errors_are_a_floor():
    close = keyed(1.0, 1.0 + 1e-9, 1.0 - 1e-9)
    found = estimated(mean(close, errors=dict.fromkeys(close, 0.5)))
    assert found.low == pytest.approx(1 - 4.302652729749464 * 0.5)


def test_too_few_and_no_spread_are_missing():
    assert mean(keyed(1.0, 2.0)).estimate() == Missing("2 networks; 3 are needed")
    assert mean(keyed(1.0, 1.0, 1.0)).estimate() == Missing("3 networks without any spread")
    assert difference(("DWS", {}), ("Regular", keyed(1.0))).estimate() == Missing("no DWS")


def test_excess_over_a_control_is_paired():
    trained, begun = keyed(2.0, 4.0, 9.0), keyed(1.0, 2.0, 6.0)
    excess = mean(trained).minus(mean({**begun, ("other", 0): 7.0}))
    assert estimated(excess) == estimated(mean(keyed(1.0, 2.0, 3.0)))


def test_correlation_is_within_strata():
    pairs = {
        (f"{stratum}{x}", 0): (stratum, float(x), float(x + offset))
        for stratum, offset in (("a", 0), ("b", -100))
        for x in range(6)
    }
    found = estimated(Correlation(pairs))
    assert found.value == pytest.approx(0.999)
    score, error = math.atanh(0.999), math.sqrt((1 + 0.999**2 / 2) / 6)
    assert found.low == pytest.approx(math.tanh(score - 1.959963984540054 * error))
    assert estimated(Correlation(pairs, sign=-1)).value == pytest.approx(-0.999)
    assert isinstance(Correlation(dict(list(pairs.items())[:4])).estimate(), Missing)


def test_what_is_apart_has_zous_interval():
    a, b = Estimate(5, 4, 7, 0.0, 3), Estimate(1, -1, 2, 0.0, 3)
    found = estimated(Apart(a, b))
    assert (found.value, found.low, found.high) == pytest.approx(
        (4, 4 - math.hypot(1, 1), 4 + math.hypot(2, 2))
    )
    lacking = Estimate(1, 0, 2, 0.5, 1, lacks="x")
    assert estimated(Given(a).minus(Given(lacking))).lacks == "x"


def test_seeds_are_pooled_over_networks_that_have_several():
    values = {("a", 0): 1.0, ("a", 1): 3.0, ("b", 0): 5.0, ("b", 1): 5.0, ("b", 2): 8.0}
    # deviations 2 of 1 degree of freedom, 6 of 2
    assert Seeds.among(values) == Seeds(8 / 3, 3)
    assert Seeds.among(keyed(1.0, 2.0)).lacks == SEEDS


def test_named_networks_lack_seeds_where_there_are_none():
    values, errors = keyed(1.0, 4.0), dict.fromkeys(keyed(1.0, 4.0), 0.3)
    found = estimated(Weighted({"n1": 1.0, "n0": -1.0}, values, errors, Seeds.among(values)))
    assert (found.value, found.lacks) == (3.0, SEEDS)
    given = estimated(Weighted({"n1": 1.0, "n0": -1.0}, values, errors, OF_THESE))
    assert given.low == pytest.approx(3 - 1.96 * 0.3 * math.sqrt(2), rel=1e-3)
    assert given.lacks == ""


def test_a_place_is_against_the_nearest_other():
    values = keyed(9.0, 5.0, 1.0)
    errors = dict.fromkeys(values, 1.0)
    found = estimated(Place(("n0",), values, errors, OF_THESE))
    assert found.value == 4.0
    assert found.low == pytest.approx(4 - 1.959963984540054 * math.sqrt(2), rel=1e-4)
    assert found.high == pytest.approx(4 + 2.241402727604945 * math.sqrt(2), rel=1e-4)  # of two
    assert estimated(Place(("n1",), values, errors, OF_THESE)).value == -4.0
    gone = Place(("x",), values, errors, OF_THESE, reasons={"x": "vanished"})
    assert gone.estimate() == Missing("not trained here: x (vanished)")


def test_variance_beyond_noise():
    values = {"a": keyed(0.0, 2.0, 4.0)}  # variance 4 of 2 degrees
    errors = dict.fromkeys(values["a"], 1.0)
    found = excess_variance(values, errors, OF_THESE).found
    assert isinstance(found, Estimate)
    assert found.value == 3.0
    assert found.low == pytest.approx(4 * 2 / stats.chi2.ppf(0.975, 2) - 1)
    assert found.p == pytest.approx(stats.chi2.sf(8, 2), rel=1e-4)


def test_sets_that_agree_do_so_beyond_chance():
    found = agreement("abcd", "abcd", "abcdefghijkl").found
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(4 / 9)  # by chance 1/9 + 4/9
    assert found.low == pytest.approx(0.025 ** (1 / 12) - 5 / 9)
    assert found.p == pytest.approx(1 / math.comb(12, 4))


def test_places_of_noise_are_rarely_told(rng: np.random.Generator):
    held = 0
    for _ in range(400):
        values = keyed(*rng.normal(0, 1, 12))
        found = estimated(Place(("n0",), values, dict.fromkeys(values, 1.0), OF_THESE))
        held += found.low > 0 or found.high < 0
    assert held <= 0.05 * 400
