"""The page's table of blocks: a network's layers grouped, each group with its figures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tfqdyn.report.inputs import Run
from tfqdyn.report.summary import short
from tfqdyn.results import LayerResult
from tfqdyn.results.blocks import Block, blocks


@dataclass(frozen=True)
class Line:
    """A block or a layer of one, in words; `layers` are those of a block."""

    numbers: str
    name: str
    kind: str
    sqnr: str
    worst: str
    macs: str
    params: str
    layers: tuple["Line", ...] = ()


@dataclass(frozen=True)
class BlockTable:
    """A run's blocks; no rows where no layers belong together."""

    run: Run
    index: int
    rows: tuple[Line, ...]


def of_run(run: Run, index: int) -> BlockTable:
    """The table of one run, the `index`-th of the page."""
    found = blocks(run.result.layers)
    several = any(len(block.layers) > 1 for block in found)
    times = Counter(block.name for block in found)
    rows = tuple(_line(block, _name(block, times)) for block in found)
    return BlockTable(run, index, rows if several else ())


def _name(block: Block, times: Mapping[str, int]) -> str:
    """What its layers' names begin with, if that is no other block's; else its first and last."""
    first, last = block.layers[0].name, block.layers[-1].name
    if len(block.layers) == 1:
        return first
    return block.name if times[block.name] == 1 else f"{first} \N{HORIZONTAL ELLIPSIS} {last}"


def _line(block: Block, name: str) -> Line:
    alone = len(block.layers) == 1
    worst = block.worst
    lowest = f"{_decibels(worst.sqnr_pooled_db.mean)} ({worst.name})"
    return Line(
        numbers=block.numbers.replace("-", "\N{EN DASH}"),
        name=name,
        kind=block.kind,
        sqnr=_decibels(block.sqnr_db),
        worst="" if alone else lowest,
        macs=f"{block.macs:,}",
        params=f"{block.params:,}",
        layers=() if alone else _lines(block.layers),
    )


def _lines(layers: Sequence[LayerResult]) -> tuple[Line, ...]:
    return tuple(
        Line(
            numbers="" if layer.number is None else str(layer.number),
            name=layer.name,
            kind=layer.kind,
            sqnr=_decibels(layer.sqnr_pooled_db.mean),
            worst="",
            macs=f"{layer.macs:,}",
            params=f"{layer.params:,}",
        )
        for layer in layers
    )


def _decibels(value: float) -> str:
    if value in (float("inf"), float("-inf")):
        return "\N{INFINITY}" if value > 0 else "\N{MINUS SIGN}\N{INFINITY}"
    return short(value)
