"""Effects of single networks that a work names: places, sums of losses, spreads of a study.

Such a network is one training, or one for each seed. What another seed would have made of it is
estimated from all networks of the table that were trained from several seeds, together; where
there are none, the interval lacks it and decides nothing.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, variance

from scipy import stats

from experiments.evidence.effects import (
    CERTAIN,
    SEEDS,
    TAIL,
    Apart,
    Estimate,
    Given,
    Missing,
    Values,
    by_student,
    means_of,
)

MANY = 1e6
"""Degrees of freedom of a normal distribution."""


@dataclass(frozen=True)
class Seeds:
    """How much another training seed moves a value.

    Attributes:
        variance: of a single training.
        freedom: degrees of freedom of its estimate.
        lacks: `effects.SEEDS` where it is not known.
    """

    variance: float
    freedom: float
    lacks: str = ""

    @staticmethod
    def among(values: Values) -> "Seeds":
        """Pooled over the units that have several seeds."""
        units: dict[str, list[float]] = {}
        for (unit, _), value in values.items():
            units.setdefault(unit, []).append(value)
        several = [of for of in units.values() if len(of) > 1]
        freedom = sum(len(of) - 1 for of in several)
        if not freedom:
            return Seeds(0.0, MANY, SEEDS)
        return Seeds(sum(variance(of) * (len(of) - 1) for of in several) / freedom, freedom)


OF_THESE = Seeds(0.0, MANY)
"""Where a claim is of these very trainings, or of one given network: seeds do not matter."""


@dataclass(frozen=True)
class Weighted:
    """A sum of weighted values of single networks, and a constant.

    Attributes:
        terms: weight by network.
        values: of every network and seed.
        errors: their standard errors by images and draws.
        seeds: what another seed would do.
        constant: added to the sum.
        of: what is counted.
    """

    terms: Mapping[str, float]
    values: Values
    errors: Values
    seeds: Seeds
    constant: float = 0.0
    of: str = "networks"

    def estimate(self) -> Estimate | Missing:
        """By Student's t with the degrees of freedom of the seeds' spread."""
        units = means_of(self.values)
        gone = [name for name in self.terms if name not in units]
        if gone:
            return Missing(f"not trained here: {', '.join(gone)}")
        value = self.constant + sum(w * units[name] for name, w in self.terms.items())
        squared = sum(w**2 * squared_error(name, self) for name, w in self.terms.items())
        error, number = math.sqrt(squared), len(self.terms)
        return by_student(value, error, self.seeds.freedom, number, self.of, self.seeds.lacks)

    def minus(self, control: "Weighted") -> Apart:
        """Over the control's."""
        return Apart(self.estimate(), control.estimate())


@dataclass(frozen=True)
class Place:
    """How far named units are above all others: the least of them above the nearest other.

    The interval compares each named unit with each other one. It ends, below, where the closest
    of these comparisons does, and above where it does with Bonferroni's correction for their
    number, since the nearest other was picked for being near (Hsu's comparisons with the best).

    Attributes:
        names: of the units that should have the largest values.
        values: of every unit and seed; larger is what is claimed.
        errors: their standard errors by images and draws.
        seeds: what another seed would do.
    """

    names: tuple[str, ...]
    values: Values
    errors: Values
    seeds: Seeds
    of: str = "networks"
    reasons: Mapping[str, str] = field(default_factory=dict)

    def estimate(self) -> Estimate | Missing:
        """Not estimated where a named unit is missing, or fewer than two others are there."""
        units = means_of(self.values)
        gone = [f"{n} ({self.reasons.get(n, 'not there')})" for n in self.names if n not in units]
        if gone:
            return Missing(f"not trained here: {', '.join(gone)}")
        others = [name for name in units if name not in self.names]
        if len(others) < max(2, len(self.names)):
            return Missing(f"only {len(others)} others were trained")
        count = len(self.names) * len(others)
        wide = float(stats.t.isf(TAIL / count, self.seeds.freedom))
        narrow = float(stats.t.isf(TAIL, self.seeds.freedom))
        ends, p = [], 0.0
        for own in self.names:
            for other in others:
                gap = units[own] - units[other]
                error = math.sqrt(squared_error(own, self) + squared_error(other, self))
                if not error > 0:
                    return Missing("values without any error")
                ends.append((gap, gap - narrow * error, gap + wide * error))
                p = max(p, float(stats.t.sf(gap / error, self.seeds.freedom)))
        value, low, high = (min(column) for column in zip(*ends, strict=True))
        return Estimate(value, low, max(value, high), p, len(units), self.of, self.seeds.lacks)

    def minus(self, control: "Place") -> Apart:
        """Over the control's."""
        return Apart(self.estimate(), control.estimate())


def squared_error(name: str, of: Weighted | Place) -> float:
    """The variance of a unit's mean: that by images, which its seeds share, and that by seeds."""
    own = [key for key in of.values if key[0] == name]
    measured = fmean(of.errors.get(key, 0.0) ** 2 for key in own)
    return measured + of.seeds.variance / len(own)


def excess_variance(strata: Mapping[str, Values], errors: Values, seeds: Seeds) -> Given:
    """Variance among networks beyond what images, draws and seeds make, pooled over strata.

    Args:
        strata: values of the networks that are compared with one another, by stratum.
        errors: standard errors by images and draws.
        seeds: what another seed would do.
    """
    compared = [list(means_of(of).values()) for of in strata.values()]
    compared = [of for of in compared if len(of) > 1]
    freedom = sum(len(of) - 1 for of in compared)
    if freedom < 2:
        return Given(Missing("fewer than three networks to compare"))
    among = sum(variance(of) * (len(of) - 1) for of in compared) / freedom
    keys = [key for of in strata.values() for key in of]
    noise = fmean(errors.get(key, 0.0) ** 2 for key in keys) + seeds.variance
    low, high = (
        among * freedom / float(stats.chi2.ppf(share, freedom)) - noise
        for share in (1 - TAIL, TAIL)
    )
    ratio = among / noise if noise else math.inf
    p = float(stats.f.sf(ratio, freedom, seeds.freedom))
    number = sum(map(len, compared))
    return Given(Estimate(among - noise, low, high, p, number, "networks", seeds.lacks))


def agreement(ours: Collection[str], theirs: Collection[str], of: Sequence[str]) -> Given:
    """How much oftener two sets agree on members than sets of their sizes do by chance.

    The share of members on which they agree, with Clopper and Pearson's interval, less the share
    that chance gives; p is Fisher's exact one.
    """
    total = len(of)
    both = len(set(ours) & set(theirs))
    neither = total - len(set(ours) | set(theirs))
    alike = both + neither
    first, second = len(set(ours)) / total, len(set(theirs)) / total
    chance = first * second + (1 - first) * (1 - second)
    found = stats.binomtest(alike, total).proportion_ci(1 - 2 * TAIL)
    table = [[both, len(set(ours) - set(theirs))], [len(set(theirs) - set(ours)), neither]]
    p = float(stats.fisher_exact(table, alternative="greater")[1])  # pyright: ignore
    ends = (float(found.low) - chance, float(found.high) - chance)
    return Given(Estimate(alike / total - chance, *ends, p, total, "initializations"))


def measured(value: float, low: float, high: float, number: int = 1, of: str = "network") -> Given:
    """A value with its interval, p by the normal distribution."""
    error = (value - low if value > 0 else high - value) / CERTAIN
    if not error > 0:
        return Given(Missing("a value without any error"))
    return Given(Estimate(value, low, high, float(stats.norm.sf(value / error)), number, of))
