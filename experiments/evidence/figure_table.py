"""The figures of a work as one table: what each shows is data, and what draws it is shared."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from experiments.engine.artifact import Artifact
from experiments.engine.networks import Network


@dataclass(frozen=True)
class Entry:
    """A figure that has no code of its own.

    Attributes:
        number: in the work.
        title: what it shows.
        networks: which, at scales that train them; empty where they are always the same.
        values: one row of panels each, names of columns.
        published: what the work shows there or says of it, and where ours departs from it.
        stacked: whether all panels stand below one another, each with an axis of its own.
    """

    number: str
    title: str
    networks: Sequence[Network]
    values: Sequence[str]
    published: str
    stacked: bool = False


def artifacts(
    group: str,
    work: str,
    entries: Sequence[Entry],
    make: Callable[[str, str, Entry], Artifact],
    prefix: str = "figure_",
) -> tuple[Artifact, ...]:
    """The artifacts of a table.

    Args:
        group: of artifacts.
        work: as it is cited.
        entries: the table.
        make: name, source and entry -> artifact.
        prefix: of the artifacts' names, before the number.
    """
    return tuple(
        make(
            f"{group}/{prefix}{entry.number.replace('.', '_')}",
            f"{work} Figure {entry.number}",
            entry,
        )
        for entry in entries
    )
