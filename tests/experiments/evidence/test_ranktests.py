"""Rank tests against counts by hand."""

from math import comb

import pytest

from experiments.evidence import ranktests


def test_greater_counts_pairs_and_orders():
    # 6, 4, 5 against 1, 2, 3: the best of comb(6, 3) orders
    best = ranktests.greater([6.0, 4.0, 5.0], [1.0, 2.0, 3.0])
    assert (best.figure, best.number) == (1.0, 6)
    assert best.p == pytest.approx(1 / comb(6, 3))
    # 4 against 1, 2, 3 is three pairs, 2.5 two, 0 none: 5 of 9
    mixed = ranktests.greater([4.0, 2.5, 0.0], [1.0, 2.0, 3.0])
    assert mixed.figure == pytest.approx(5 / 9)
    assert ranktests.greater([2.0, 2.0, 2.0], [2.0, 2.0, 2.0]).figure == 0.5


def test_greater_says_nothing_of_two():
    assert ranktests.greater([9.0, 9.0], [1.0, 2.0, 3.0]) == ranktests.Test(None, None, 5)
