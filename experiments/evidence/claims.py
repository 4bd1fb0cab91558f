"""The works' claims: what each says, the effect that decides it, and how large it is claimed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from experiments.evidence.effects import Missing, Sample

Rows = Sequence[Mapping[str, Any]]
Found = Mapping[str, Rows]
"""Rows by the name of their artifact."""
Effect = Callable[[Found], Sample | Missing]


class UnfitRowsError(Exception):
    """Rows lack what an effect is of; the message says what."""


@dataclass(frozen=True)
class Claim:
    """A claim of a work.

    Attributes:
        name: `group/name`.
        work: a key of `verdicts.WORKS`.
        statement: the claim, and what is measured.
        source: section, table or figure of the work.
        artifacts: names of the artifacts whose rows it reads.
        effect: rows -> the effect, above 0 as claimed.
        unit: of the effect.
        claimed: size of the effect in the work; where it has none, the smallest of interest.
        published: whether the work says the size.
        controls: by name of an artifact the one that has the same rows of networks before their
            training; empty for losses of accuracy, which untrained networks do not have.
        premise: an effect that must be above 0 for the claim to mean anything: that 8 bits take
            accuracy at all from the networks that are ranked by what 8 bits take.
        table: the artifact whose failed trainings are named.
    """

    name: str
    work: str
    statement: str
    source: str
    artifacts: tuple[str, ...]
    effect: Effect
    unit: str
    claimed: float
    published: bool = False
    controls: Mapping[str, str] = field(default_factory=dict)
    premise: Effect | None = None
    table: str | None = None

    @property
    def read(self) -> tuple[str, ...]:
        """All artifacts that it reads, the failed trainings' table among them."""
        return tuple(dict.fromkeys((*self.artifacts, *filter(None, [self.table]))))


def claim(
    name: str,
    statement: str,
    source: str,
    artifacts: tuple[str, ...],
    effect: Effect,
    unit: str,
    claimed: float,
    *,
    work: str,
    cited: str,
    prefix: str,
    published: bool = False,
    controls: Mapping[str, str] = MappingProxyType({}),
    premise: Effect | None = None,
    table: str | None = None,
) -> Claim:
    """A claim; what all claims of a table share is given once, by `functools.partial`.

    Args:
        name: without what all names begin with.
        source: without the work.
        cited: the work, as sources name it.
        prefix: what all names begin with.

    The others are those of `Claim`.
    """
    return Claim(
        f"{prefix}{name}", work, statement, f"{cited}, {source}", artifacts, effect, unit, claimed,
        published, controls, premise, table,
    )  # fmt: skip
