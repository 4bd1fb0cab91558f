"""Comparisons of engines as tables for a terminal, and the words that tables and page share."""

from collections.abc import Sequence

from rich.table import Table

from tfqdyn.results.kernelrecords import (
    CONTEXT,
    INHERITED,
    OWN,
    Counted,
    EngineRecord,
    KernelsRecord,
    OpRecord,
)

NONE = "-"
CAUSES = {
    OWN: "its own doing: it differs from equal inputs",
    INHERITED: "inherited: from equal inputs it does not differ",
    CONTEXT: "not the operator's: alone, from equal inputs, it does not differ like that",
}
"""What a cause means; any other is unknown."""


def share(counted: Counted | None) -> str:
    """Share of differing values in percent; "0" for none at all, "-" where none was compared."""
    if counted is None:
        return NONE
    if not counted.differing:
        return "0"
    percent = 100 * counted.share
    return f"{percent:.2f} %" if percent >= 0.005 else f"{percent:.1g} %"


def steps(counted: Counted | None) -> str:
    """The largest difference in steps."""
    if counted is None:
        return NONE
    return f"{counted.largest:.0f}" if counted.largest >= 10 else f"{counted.largest:.2g}"


def milliseconds(value: float | None) -> str:
    """A latency with three significant digits."""
    return NONE if value is None else f"{float(f'{value:.3g}'):,g}"


def tensor(operator: OpRecord) -> str:
    """The name of an operator's output; of names that a converter joined by ";" the first."""
    return operator.name.partition(";")[0]


def first(record: KernelsRecord, engine: EngineRecord) -> str:
    """The first operator that diverges, and whose doing that is, in words."""
    if engine.refused is not None:
        return NONE
    if engine.name == record.base:
        return "what the others are held against"
    if engine.first is None:
        return "none"
    operator = record.operators[engine.first]
    why = CAUSES.get(engine.first_cause, "why is unknown")
    return f"{operator.index} {operator.kind} {tensor(operator)} ({why})"


def accuracy(engine: EngineRecord) -> str:
    """Top-1 in percent."""
    return NONE if engine.accuracy is None else f"{100 * engine.accuracy:.2f} %"


def arena(engine: EngineRecord) -> str:
    """Bytes of arena."""
    return NONE if engine.arena is None else f"{engine.arena:,}"


def engines_table(record: KernelsRecord) -> Table:
    """One row for each engine: its outputs, its accuracy, and where it first diverges."""
    table = Table(
        title=f"{record.file}, {record.images:,} images, held against {record.base}",
        title_justify="left",
    )
    table.add_column("engine")
    headings = ("outputs as deployed", "steps", "tensors kept", "top-1", "ms", "arena, bytes")
    for heading in headings:
        table.add_column(heading, justify="right")
    table.add_column("first operator that diverges", overflow="fold")
    for engine in record.engines:
        told = first(record, engine) if engine.refused is None else f"refused: {engine.refused}"
        table.add_row(
            engine.name, share(engine.deployed), steps(engine.deployed), share(engine.kept),
            accuracy(engine), milliseconds(engine.milliseconds), arena(engine), told,
        )  # fmt: skip
    return table


def by_kind(engines: Sequence[EngineRecord]) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """For every kind of operator what differs from equal inputs in each engine: (share, largest
    difference in steps, operators at fault)."""
    found = []
    for kind in dict.fromkeys(f.kind for engine in engines for f in engine.kinds):
        cells = []
        for engine in engines:
            figures = next((f for f in engine.kinds if f.kind == kind), None)
            if figures is None or figures.alone is None:
                cells.append((NONE, NONE, NONE))
            else:
                fault = f"{figures.at_fault} of {figures.operators}"
                cells.append((share(figures.alone), steps(figures.alone), fault))
        found.append((kind, cells))
    return found


def kinds_table(record: KernelsRecord) -> Table:
    """One row for each kind of operator."""
    others = [engine for engine in record.engines if engine.name != record.base]
    table = Table(
        title="values that differ from equal inputs, by kind of operator", title_justify="left"
    )
    table.add_column("kind")
    for engine in others:
        for heading in (engine.name, "steps", "at fault"):
            table.add_column(heading, justify="right")
    for kind, cells in by_kind(others):
        table.add_row(kind, *(text for cell in cells for text in cell))
    return table
