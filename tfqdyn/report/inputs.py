"""The runs of a report: results from memory or from disk, each with a name and a colour.

Colours are Okabe and Ito's, which colour-blind readers tell apart, in the order of their contrast
on white; every colour comes with a marker of its own. They depend on a run's place only, so a run
looks alike in every chart and table of a page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfqdyn.results import RunResult
from tfqdyn.results.restore import restored

BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY = "#CC79A7", "#E69F00", "#56B4E9"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")

Result = RunResult | Mapping[str, Any]
"""A run from memory, or the record that `results.read` gives."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a report: its result, its name there, its colour, and its Vega marker."""

    name: str
    result: RunResult
    colour: str
    marker: str


def named_runs(runs: Mapping[str, Result] | Sequence[Result]) -> tuple[Run, ...]:
    """The runs with names, colours and markers, in the given order.

    Args:
        runs: by name, or a sequence, whose runs are called by their networks and, where those are
            the same, by the settings that differ.

    Raises:
        ValueError: no runs.
    """
    if not runs:
        raise ValueError("a report needs at least one run, received none")
    given = list(runs.values()) if isinstance(runs, Mapping) else list(runs)
    found = [r if isinstance(r, RunResult) else restored(r) for r in given]
    names = list(runs) if isinstance(runs, Mapping) else _names(found)
    return tuple(
        Run(str(name), result, COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)])
        for i, (name, result) in enumerate(zip(names, found, strict=True))
    )


def _names(results: Sequence[RunResult]) -> list[str]:
    networks = [result.model.name for result in results]
    if len(set(networks)) == len(networks):
        return networks
    settings = [result.config for result in results]
    keys = dict.fromkeys(key for config in settings for key in config)
    differing = [k for k in keys if len({str(config.get(k)) for config in settings}) > 1]
    names = [
        ", ".join([network, *(f"{k} {config.get(k)}" for k in differing)])
        for network, config in zip(networks, settings, strict=True)
    ]
    counts = {name: names.count(name) for name in names}
    return [
        name if counts[name] == 1 else f"{name} ({names[: i + 1].count(name)})"
        for i, name in enumerate(names)
    ]
