"""A figure over trials."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """A value over trials: mean, standard deviation (ddof = 1; None for one trial), and each."""

    mean: float
    std: float | None
    trials: tuple[float, ...]


def spread(trials: Sequence[float]) -> Spread:
    """Mean and standard deviation of a value over trials.

    Raises:
        ValueError: no trials.
    """
    if not trials:
        raise ValueError("a spread needs at least one trial, received none")
    values = np.array(trials, np.float64)
    with np.errstate(invalid="ignore"):  # infinite SQNRs: their mean is infinite, their std nan
        std = float(values.std(ddof=1)) if len(values) > 1 else None
        return Spread(float(values.mean()), std, tuple(map(float, values)))
