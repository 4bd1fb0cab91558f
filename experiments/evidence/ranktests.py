"""Tests by ranks that claims rest on, and the rule that makes a verdict of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

LEVEL = 0.05
"""Chance that a claim about many networks may owe its holding to luck."""
FEWEST = 3
"""Networks or layers below which nothing is tested."""


@dataclass(frozen=True)
class Test:
    """What a test says.

    Attributes:
        figure: rank correlation in [-1, 1], median difference, or share, by the function.
        p: chance of as much, or more, where there is nothing; None where it cannot be told.
        number: of pairs, differences or cases.
    """

    figure: float | None
    p: float | None
    number: int

    def __str__(self) -> str:
        figure = "undefined" if self.figure is None else f"{self.figure:.3g}"
        p = "" if self.p is None else f", p = {self.p:.2g}"
        return f"{figure} (n = {self.number}{p})"


def spearman(first: Sequence[float], second: Sequence[float]) -> Test:
    """Spearman's rank correlation of two equally long series, two-sided p.

    Undefined (None) for fewer than `FEWEST` pairs and for a constant series.
    """
    number = len(first)
    if number < FEWEST or len(set(first)) == 1 or len(set(second)) == 1:
        return Test(None, None, number)
    found: Any = stats.spearmanr(first, second)
    return Test(float(found.statistic), float(found.pvalue), number)


def greater(first: Sequence[float], second: Sequence[float]) -> Test:
    """Share of pairs in which the first group is greater (a tie is half), one-sided Mann-Whitney p.

    Undefined (None) where a group has fewer than `FEWEST` members.
    """
    number = len(first) + len(second)
    if min(len(first), len(second)) < FEWEST:
        return Test(None, None, number)
    found: Any = stats.mannwhitneyu(first, second, alternative="greater")
    return Test(float(found.statistic) / (len(first) * len(second)), float(found.pvalue), number)


def above_zero(differences: Sequence[float]) -> Test:
    """Median of paired differences, and Wilcoxon's signed-rank test that it is above 0."""
    values = np.array(differences, float)
    if not values.size:
        return Test(None, None, 0)
    median = float(np.median(values))
    if np.count_nonzero(values) < FEWEST:
        return Test(median, None, values.size)
    found: Any = stats.wilcoxon(values[values != 0], alternative="greater")
    return Test(median, float(found.pvalue), values.size)


def more_often(cases: Sequence[bool], chance: float = 0.5) -> Test:
    """Share of cases that are so, and the binomial test that this is more often than `chance`."""
    if not cases:
        return Test(None, None, 0)
    found = stats.binomtest(sum(cases), len(cases), chance, alternative="greater")
    return Test(sum(cases) / len(cases), float(found.pvalue), len(cases))


def verdict(so: bool, test: Test) -> bool | None:
    """A claim's verdict: it holds if it is so and p <= `LEVEL`; if it is so by chance, None."""
    if not so:
        return False
    return True if test.p is not None and test.p <= LEVEL else None


BY_CHANCE = f"so it is, but with p > {LEVEL} these networks cannot tell it from chance"
"""The note of a verdict that is None for its p."""
