"""Tests of networks' figures over calibration draws, from the means and deviations of rows.

They say what other draws of calibration images might have changed; that a network was trained from
one seed and scored on some images is beyond them.
"""

import math
from collections.abc import Mapping
from typing import Any

from scipy import stats

from experiments.evidence.ranktests import Test


def above(first: Mapping[str, Any], second: Mapping[str, Any], column: str) -> Test:
    """Difference first - second of a column's means, and Welch's one-sided test that it is above 0.

    Args:
        first: a row with the column, column_std and `draws`.
        second: another one.
        column: name of the figure.

    Returns:
        The difference; p is None where there are no two draws, or no deviation at all.
    """
    figures = [(row[column], row[f"{column}_std"], row["draws"]) for row in (first, second)]
    difference, number = first[column] - second[column], first["draws"] + second["draws"]
    if any(std is None for _, std, _ in figures) or not any(std for _, std, _ in figures):
        return Test(difference, None, number)
    (m1, s1, n1), (m2, s2, n2) = figures
    found: Any = stats.ttest_ind_from_stats(
        m1, s1, n1, m2, s2, n2, equal_var=False, alternative="greater"
    )
    return Test(difference, float(found.pvalue), number)


def loss(row: Mapping[str, Any]) -> dict[str, Any]:
    """The accuracy that 8 bits take, in points: `loss`, `loss_std` and `draws` of a row."""
    return {
        "loss": row["fp32_accuracy"] - row["uint8_accuracy"],
        "loss_std": row["uint8_accuracy_std"],
        "draws": row["draws"],
    }


def loses(row: Mapping[str, Any]) -> Test:
    """Points of accuracy that 8 bits take, and the one-sided t test that they are above 0.

    p is None where there are no two draws, or no deviation at all.
    """
    points, std, draws = loss(row).values()
    if not std or draws < 2:
        return Test(points, None, draws)
    return Test(points, float(stats.t.sf(points / (std / math.sqrt(draws)), draws - 1)), draws)
