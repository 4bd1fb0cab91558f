"""A comparison of engines -> `kernels.html`, one page that loads and runs nothing."""

import math
from dataclasses import dataclass
from pathlib import Path

from tfqdyn.files import wholefiles
from tfqdyn.report.templates import joined, template
from tfqdyn.results.kernelrecords import (
    CONTEXT,
    INHERITED,
    OWN,
    Counted,
    EngineRecord,
    KernelsRecord,
    OpFigures,
)
from tfqdyn.show import kernelstables as words

WIDTH, HEIGHT = 1000, 90
DECADES = 6
"""Shares from 1 down to 1e-6 are drawn, on a logarithmic axis."""
WORDS = {OWN: "its own", INHERITED: "inherited", CONTEXT: "only in the whole file", "": ""}


@dataclass(frozen=True)
class Bar:
    """One operator in a chart: where it stands, how high its shares reach, and what it says."""

    x: float
    width: float
    chained: float
    alone: float
    title: str


@dataclass(frozen=True)
class OpCell:
    """One operator in one engine, in words."""

    chained: str
    alone: str
    steps: str
    cause: str
    milliseconds: str
    note: str


def write_page(record: KernelsRecord, path: Path) -> None:
    """Writes the page of a comparison.

    Raises:
        WriteError: see `wholefiles.replacing`.
    """
    wholefiles.write(path, render(record).encode())


def render(record: KernelsRecord) -> str:
    """The page's text."""
    others = [engine for engine in record.engines if engine.name != record.base]
    ran = [engine for engine in others if any(map(_compared, engine.operators))]
    shown = [engine for engine in record.engines if engine in ran or engine.name == record.base]
    return template("kernels.html").render(
        record=record,
        headline=headline(record),
        words=words,
        others=ran,
        shown=shown,
        kinds=words.by_kind(ran),
        refusals=[text for engine in record.engines for text in refusals(record, engine)],
        charts=[(engine, bars(record, engine)) for engine in ran],
        width=WIDTH,
        height=HEIGHT,
        rows=[
            (operator, [_cell(_figures(engine, operator.index)) for engine in shown])
            for operator in record.operators
            if any(_compared(_figures(engine, operator.index)) for engine in ran)
        ],
        style=joined("page.css", "kernels.css"),
        version=record.versions.get("tfqdyn", ""),
    )


def refusals(record: KernelsRecord, engine: EngineRecord) -> list[str]:
    """What an engine says of operators alone that it refuses, once for all of which it says it."""
    said: dict[str, list[int]] = {}
    for figures in engine.operators:
        if figures.refused:
            said.setdefault(figures.refused, []).append(figures.index)
    return [
        f"{engine.name} refuses {len(places)} of {len(record.operators)} operators alone "
        f"({', '.join(map(str, places))}): {reason}"
        for reason, places in said.items()
    ]


def headline(record: KernelsRecord) -> str:
    """What the page says in one or two sentences."""
    others = [engine for engine in record.engines if engine.name != record.base]
    refused = [engine.name for engine in others if engine.refused is not None]
    ran = [engine for engine in others if engine.refused is None]
    alike = [e.name for e in ran if e.deployed is not None and not e.deployed.differing]
    apart = [
        f"{e.name} in {words.share(e.deployed)} of the output values"
        for e in ran
        if e.deployed is not None and e.deployed.differing
    ]
    parts = []
    if apart:
        parts.append(f"Differ from {record.base}: {'; '.join(apart)}.")
    if alike:
        parts.append(f"Same outputs as {record.base}: {', '.join(alike)}.")
    if refused:
        parts.append(f"Refused the file: {', '.join(refused)}.")
    return " ".join(parts) or f"Only {record.base} ran."


def bars(record: KernelsRecord, engine: EngineRecord) -> list[Bar]:
    """An engine's operators as a chart's bars, those that were compared."""
    rows = [f for f in engine.operators if _compared(f)]
    width = WIDTH / max(1, len(rows))
    found = []
    for position, figures in enumerate(rows):
        operator, cell = record.operators[figures.index], _cell(figures)
        what = f"{operator.index} {operator.kind} {words.tensor(operator)}"
        title = f"{what}: whole file {cell.chained}, from equal inputs {cell.alone} {cell.cause}"
        heights = (_height(figures.chained), _height(figures.alone))
        found.append(Bar(position * width, max(width - 1, width / 2), *heights, title.strip()))
    return found


def _height(counted: Counted | None) -> float:
    """A share's place on the logarithmic axis, in [0, HEIGHT]."""
    if counted is None or not counted.share:
        return 0.0
    return HEIGHT * max(0.02, 1 + math.log10(counted.share) / DECADES)


def _figures(engine: EngineRecord, index: int) -> OpFigures | None:
    return next((f for f in engine.operators if f.index == index), None)


def _compared(figures: OpFigures | None) -> bool:
    return figures is not None and any((figures.chained, figures.alone))


def _cell(figures: OpFigures | None) -> OpCell:
    if figures is None:
        return OpCell(words.NONE, words.NONE, words.NONE, words.NONE, words.NONE, "")
    note = "left to the built-in kernel" if figures.delegated is False else ""
    return OpCell(
        words.share(figures.chained),
        words.share(figures.alone),
        words.steps(figures.chained if figures.alone is None else figures.alone),
        WORDS.get(figures.cause, "unknown"),
        words.milliseconds(figures.milliseconds),
        "refused" if figures.refused else note,
    )
