"""Effects with their 95 % intervals: what claims are decided by.

Conventions
    Effects are oriented: above 0 is what a work claims, 0 is the null. A value belongs to a unit
    and a training seed, `(unit, seed)`; a unit is a network, or a layer where a claim is of one
    network alone. Several seeds of a unit count as one: their mean. What units are a sample of
    (initializations, seeds, layers) is thus in the spread among them, and so are images and draws,
    which every value was measured with.

References
    Welch 1947 and Satterthwaite 1946: differences of means of unequal variances.
    Hsu 1984, "Constrained simultaneous confidence intervals for multiple comparisons with the
    best", Ann. Stat. 12, 1136-1144: places.
    Bonett and Wright 2000, "Sample size requirements for estimating Pearson, Kendall and Spearman
    correlations", Psychometrika 65, 23-28: the variance of a rank correlation's Fisher z.
    Zou 2007, "Toward using confidence intervals to compare correlations", Psychol. Methods 12,
    399-413: the interval of a difference from those of its parts.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, variance
from typing import Any, Protocol

import numpy as np
from scipy import stats

Key = tuple[str, int]
Values = Mapping[Key, float]
"""A number for every unit and seed."""

TAIL = 0.025
"""Of a 95 % interval, on each side."""
CERTAIN = float(stats.norm.isf(TAIL))
FEWEST = 3
"""Units below which nothing is estimated."""
FEWEST_PAIRS = 5
"""Units below which nothing is correlated."""
SEEDS = "a second training seed"
"""What an interval lacks that holds images and draws alone."""


@dataclass(frozen=True)
class Estimate:
    """An effect.

    Attributes:
        value: above 0 as claimed.
        low: of the 95 % interval.
        high: of it.
        p: one-sided, of as large a value where the effect is 0.
        number: of units.
        of: what the units are.
        lacks: what the interval does not hold; it decides nothing then. Empty for a whole one.
    """

    value: float
    low: float
    high: float
    p: float
    number: int
    of: str = "networks"
    lacks: str = ""

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}], {self.number} {self.of}"


@dataclass(frozen=True)
class Missing:
    """No effect, and why."""

    reason: str


class Sample(Protocol):
    """What an effect is estimated from."""

    def estimate(self) -> Estimate | Missing:
        """The effect with its interval."""
        ...

    def minus(self, control: Any) -> "Sample":
        """What the effect has over that of a control of the same kind, unit by unit."""
        ...


def by_student(
    value: float, error: float, freedom: float, number: int, of: str = "networks", lacks: str = ""
) -> Estimate | Missing:
    """The estimate of a value with a standard error of so many degrees of freedom."""
    if not error > 0 or not math.isfinite(error):
        return Missing(f"{number} {of} without any spread")
    half = float(stats.t.isf(TAIL, freedom)) * error
    p = float(stats.t.sf(value / error, freedom))
    return Estimate(value, value - half, value + half, p, number, of, lacks)


@dataclass(frozen=True)
class Group:
    """Units that a contrast weights alike.

    Attributes:
        weight: of their mean.
        name: in messages.
        values: one for each unit and seed.
    """

    weight: float
    name: str
    values: Values

    @property
    def means(self) -> list[float]:
        """One number a unit."""
        return list(means_of(self.values).values())


@dataclass(frozen=True)
class Contrast:
    """Sum of weighted means of groups of units.

    A group of one unit has the variance that units of the others have: it is compared with what
    one more of them might have been. Measured standard errors are a floor of the error: of one
    group, whose values are of the same images and draws, their mean; of several groups, where what
    images and draws do to all alike drops out, their quadratic mean.

    Attributes:
        groups: one (against 0) or several.
        of: what the units are.
        errors: standard errors of the values by images and draws, where they were measured.
    """

    groups: tuple[Group, ...]
    of: str = "networks"
    errors: Values = field(default_factory=dict)

    def estimate(self) -> Estimate | Missing:
        """Welch's; with a group of one unit by the pooled variance."""
        empty = [group.name for group in self.groups if not group.values]
        if empty:
            return Missing(f"no {' and no '.join(empty)}")
        samples = [(group.weight, group.means) for group in self.groups]
        number = sum(len(values) for _, values in samples)
        several = [values for _, values in samples if len(values) > 1]
        if number < FEWEST or not several:
            return Missing(f"{number} {self.of}; {FEWEST} are needed")
        value = sum(weight * fmean(values) for weight, values in samples)
        if len(several) < len(samples):
            freedom = sum(len(values) - 1 for values in several)
            pooled = sum(variance(values) * (len(values) - 1) for values in several) / freedom
            squared = pooled * sum(weight**2 / len(values) for weight, values in samples)
        else:
            parts = [(w**2 * variance(of) / len(of), len(of) - 1) for w, of in samples]
            squared = sum(part for part, _ in parts)
            own = sum(part**2 / freedom for part, freedom in parts)
            freedom = squared**2 / own if own else 1.0
        error = max(math.sqrt(squared), self._floor())
        return by_student(value, error, freedom, number, self.of)

    def _floor(self) -> float:
        known = [
            (group.weight, [self.errors[key] for key in group.values if key in self.errors])
            for group in self.groups
        ]
        if len(known) == 1 and known[0][1]:
            return abs(known[0][0]) * fmean(known[0][1])
        return math.sqrt(sum(w**2 * fmean(e**2 for e in of) / len(of) for w, of in known if of))

    def minus(self, control: "Contrast") -> "Contrast":
        """The contrast of the values less the control's, of the units that both have."""
        pairs = zip(self.groups, control.groups, strict=True)
        return Contrast(
            tuple(
                Group(
                    own.weight,
                    f"{own.name} with a control",
                    {k: own.values[k] - other.values[k] for k in own.values if k in other.values},
                )
                for own, other in pairs
            ),
            self.of,
        )


def mean(values: Values, of: str = "networks", errors: Values | None = None) -> Contrast:
    """The mean over units, against 0."""
    return Contrast((Group(1.0, f"trained {of}", values),), of, errors or {})


def difference(
    first: tuple[str, Values],
    second: tuple[str, Values],
    of: str = "networks",
    errors: Values | None = None,
) -> Contrast:
    """The mean of a first group, by name, less that of a second."""
    return Contrast((Group(1.0, *first), Group(-1.0, *second)), of, errors or {})


@dataclass(frozen=True)
class Correlation:
    """Rank correlation within strata (Spearman's), averaged by Fisher's z.

    Attributes:
        pairs: stratum, and the two numbers, of every unit and seed.
        of: what the units are.
        sign: -1 where the work claims a negative one.
    """

    pairs: Mapping[Key, tuple[str, float, float]]
    of: str = "networks"
    sign: int = 1

    def estimate(self) -> Estimate | Missing:
        """Strata of fewer than `FEWEST_PAIRS` units, or of constant numbers, are left out."""
        strata: dict[str, dict[str, list[tuple[float, float]]]] = {}
        for (unit, _), (stratum, x, y) in self.pairs.items():
            strata.setdefault(stratum, {}).setdefault(unit, []).append((x, y))
        weights, scores, spreads, number = 0.0, 0.0, 0.0, 0
        for units in strata.values():
            x, y = ([fmean(pair[side] for pair in of) for of in units.values()] for side in (0, 1))
            if len(x) < FEWEST_PAIRS or len(set(x)) == 1 or len(set(y)) == 1:
                continue
            found: Any = stats.spearmanr(x, y)
            rho = self.sign * min(0.999, max(-0.999, float(found.statistic)))
            weight = len(x) - 3
            weights += weight
            scores += weight * math.atanh(rho)
            spreads += weight * (1 + rho**2 / 2)
            number += len(x)
        if not number:
            return Missing(f"fewer than {FEWEST_PAIRS} {self.of} to correlate")
        return correlated(scores / weights, math.sqrt(spreads) / weights, number, self.of)

    def minus(self, control: "Correlation") -> "Apart":
        """Over the control's, the two taken for independent."""
        return Apart(self.estimate(), control.estimate())


def correlated(score: float, error: float, number: int, of: str) -> Estimate:
    """The estimate of a correlation from its Fisher z and the standard error of that."""
    low, high = (math.tanh(score + sign * CERTAIN * error) for sign in (-1, 1))
    return Estimate(math.tanh(score), low, high, float(stats.norm.sf(score / error)), number, of)


@dataclass(frozen=True)
class Apart:
    """A first effect less a second one, independent of it."""

    first: Estimate | Missing
    second: Estimate | Missing

    def estimate(self) -> Estimate | Missing:
        """By Zou's method from the two intervals."""
        a, b = self.first, self.second
        if isinstance(a, Missing):
            return a
        if isinstance(b, Missing):
            return b
        value = a.value - b.value
        down = math.hypot(a.value - a.low, b.high - b.value)
        up = math.hypot(a.high - a.value, b.value - b.low)
        error = (down if value > 0 else up) / CERTAIN
        p = float(stats.norm.sf(value / error)) if error > 0 else 1.0
        lacks = a.lacks or b.lacks
        return Estimate(value, value - down, value + up, p, a.number, a.of, lacks)

    def minus(self, control: Any) -> Sample:
        """Not defined: what is apart already has its control."""
        raise NotImplementedError("a difference of effects has no control")


@dataclass(frozen=True)
class Given:
    """An effect that was estimated elsewhere."""

    found: Estimate | Missing

    def estimate(self) -> Estimate | Missing:
        """It."""
        return self.found

    def minus(self, control: "Given") -> Apart:
        """Over the control's, the two taken for independent."""
        return Apart(self.found, control.found)


def means_of(values: Values) -> dict[str, float]:
    """The mean over seeds by unit."""
    units: dict[str, list[float]] = {}
    for (unit, _), value in values.items():
        units.setdefault(unit, []).append(value)
    return {unit: fmean(of) for unit, of in units.items()}


def median_of(values: Iterable[float]) -> float:
    """The median."""
    return float(np.median(list(values)))


def spearman(first: Sequence[float], second: Sequence[float]) -> tuple[float | None, float | None]:
    """Spearman's rank correlation of two equally long series, and its two-sided p.

    Undefined (None, None) for fewer than `FEWEST` pairs and for a constant series.
    """
    if len(first) < FEWEST or len(set(first)) == 1 or len(set(second)) == 1:
        return None, None
    found: Any = stats.spearmanr(first, second)
    return float(found.statistic), float(found.pvalue)
