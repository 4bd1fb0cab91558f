"""Rows that a publication keeps: of networks that an earlier run did and this one has not.

A scale's trainings take longer than one machine may be had for, and a later machine begins with an
empty workdir. What was published is not lost by that: rows say which network, images and code they
are of, and those of networks that this run has not done stay.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.engine.artifact import Artifact, Row, Scope
from experiments.engine.execution import ordered
from experiments.engine.jobs import Training, Untrained
from experiments.engine.selection import NETWORKS
from experiments.engine.store import DIGITS
from experiments.evidence.outcomes import PENDING
from experiments.evidence.readings import key_of

Blocks = dict[tuple[str, int], list[Row]]
"""Rows by network and training seed."""


@dataclass(frozen=True)
class Carried:
    """The rows of a publication.

    Attributes:
        rows: this run's and those that were kept, by network and seed.
        kept: names of the networks, with their seeds, whose rows are an earlier run's.
    """

    rows: tuple[Row, ...]
    kept: tuple[str, ...]


def carried(new: Sequence[Row], old: Sequence[Row], known: Collection[str] = ()) -> Carried:
    """This run's rows, and the published ones of networks that it has not done.

    Rows without `network` are of all networks together: none of them can be kept.

    Args:
        new: rows of this run; those of a network that is not done have the status `PENDING`.
        old: published rows of the same artifact and scale.
        known: the first digits of the digests of networks that the artifact is of today; rows that
            name another one are of a network that was changed since, and go. Empty for any.
    """
    if not all("network" in row for row in (*new, *old)):
        return Carried(tuple(new), ())
    done, published = _blocks(new), _blocks(old)
    kept = [
        key
        for key, rows in published.items()
        if not _is_done(done.get(key, ())) and _is_done(rows) and _is_known(rows, known)
    ]
    found = {**done, **{key: published[key] for key in kept}}
    order = {network.name: place for place, network in enumerate(NETWORKS)}
    ranked = sorted(found, key=lambda key: order.get(key[0], len(order)))
    return Carried(
        tuple(row for key in ranked for row in found[key]),
        tuple(f"{network} (seed {seed})" for network, seed in kept),
    )


def digests(artifact: Artifact, scope: Scope) -> set[str]:
    """The first digits of the digests of the networks that an artifact's jobs train or begin."""
    return {
        job.initial.digest()[:DIGITS]
        for job in ordered(artifact.jobs(scope))
        if isinstance(job, Training | Untrained)
    }


def _blocks(rows: Sequence[Row]) -> Blocks:
    found: Blocks = {}
    for row in rows:
        found.setdefault(key_of(row), []).append(row)
    return found


def _is_done(rows: Sequence[Row]) -> bool:
    return any(row.get("status") != PENDING for row in rows)


def _is_known(rows: Sequence[Row], known: Collection[str]) -> bool:
    told: set[Any] = {row["network_sha256"] for row in rows if row.get("network_sha256")}
    return not known or told <= set(known)
