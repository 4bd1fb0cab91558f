"""Reads values out of saved rows, by network and seed, for the effects that claims are about."""

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from statistics import fmean
from typing import Any

from experiments.evidence.claims import Found, Rows, UnfitRowsError
from experiments.evidence.effects import CERTAIN, Key, Values
from experiments.evidence.verdicts import TRAINED

Layer = Mapping[str, Any]
Layers = Mapping[Key, list[Layer]]
"""The numbered layers, in their order, of every network and seed."""


def key_of(row: Mapping[str, Any]) -> Key:
    """A row's network and seed."""
    return str(row["network"]), int(row.get("seed") or 0)


def alive(rows: Rows, **having: Collection[str]) -> list[Mapping[str, Any]]:
    """The rows of networks that have figures, of those with certain values in named columns."""
    return [
        row
        for row in rows
        if row.get("status") in TRAINED
        and row.get("uint8_accuracy") is not None
        and all(row[name] in values for name, values in having.items())
    ]


def column(rows: Iterable[Mapping[str, Any]], name: str, *, log: bool = False) -> Values:
    """A column by network and seed, or its decimal logarithm; values that have none are left out.

    Raises:
        UnfitRowsError: no row has the column.
    """
    rows = list(rows)
    if rows and all(row.get(name) is None for row in rows):
        raise UnfitRowsError(f"rows without {name}, made before it was recorded")
    found = {key_of(row): row[name] for row in rows if row.get(name) is not None}
    if log:
        return {key: math.log10(value) for key, value in found.items() if value > 0}
    return found


def losses(rows: Iterable[Mapping[str, Any]]) -> Values:
    """Points that 8 bits take, fp32 less uint8 accuracy on the same images."""
    return column(rows, "loss")


def loss_errors(rows: Iterable[Mapping[str, Any]]) -> Values:
    """Standard errors of `losses` by images and calibration draws: a quarter of the interval."""
    return {
        key_of(row): (row["loss_high"] - row["loss_low"]) / (2 * CERTAIN)
        for row in rows
        if row.get("loss_high") is not None
    }


def draw_errors(rows: Iterable[Mapping[str, Any]], name: str, *, log: bool = False) -> Values:
    """Standard errors of a column's means by calibration draws, or of their logarithms.

    Raises:
        UnfitRowsError: rows do not say how many draws.
    """
    found: dict[Key, float] = {}
    for row in rows:
        if row.get("draws") is None:
            raise UnfitRowsError("rows without draws, made before it was recorded")
        std = row.get(f"{name}_std")
        if std is not None and (row[name] or not log):
            error = std / math.sqrt(row["draws"])
            found[key_of(row)] = error / row[name] / math.log(10) if log else error
    return found


def accuracy_errors(rows: Iterable[Mapping[str, Any]], name: str) -> Values:
    """Standard errors of an accuracy in percent by the images scored, and by draws."""
    found: dict[Key, float] = {}
    for row in rows:
        share = row[name] / 100
        sampled = 1e4 * share * (1 - share) / row["images"]
        drawn = (row.get(f"{name}_std") or 0.0) ** 2 / (row.get("draws") or 1)
        found[key_of(row)] = math.sqrt(sampled + drawn)
    return found


def failures(rows: Rows) -> dict[str, str]:
    """What became of the networks that have no figures, by network."""
    return {str(r["network"]): str(r["status"]) for r in rows if r.get("status") not in TRAINED}


def layers_of(found: Found, table: str | None, *artifacts: str) -> Layers:
    """The layers of several artifacts' rows together, of the networks of a table that have figures.

    Args:
        found: the rows.
        table: None for all networks.
        artifacts: with rows a layer, network and seed; columns of the same layer are put together.
    """
    kept = None if table is None else {key_of(row) for row in alive(found[table])}
    merged: dict[Key, dict[int, dict[str, Any]]] = {}
    for artifact in artifacts:
        for row in found[artifact]:
            if row.get("number") is None or (kept is not None and key_of(row) not in kept):
                continue
            merged.setdefault(key_of(row), {}).setdefault(row["number"], {}).update(row)
    return {key: [of[number] for number in sorted(of)] for key, of in merged.items()}


def of_families(layers: Layers, *families: str) -> Layers:
    """The networks of some families."""
    return {key: of for key, of in layers.items() if of[0]["family"] in families}


def convolutions(layers: Layers) -> Layers:
    """The layers that are not dense."""
    kept = {key: [layer for layer in of if layer["kind"] != "dense"] for key, of in layers.items()}
    return {key: of for key, of in kept.items() if of}


def each(layers: Layers, value: Callable[[list[Layer]], float | None]) -> Values:
    """A value of each network's layers; None leaves the network out.

    Raises:
        UnfitRowsError: rows without a column that the value is of.
    """
    try:
        found = {key: value(of) for key, of in layers.items()}
    except (KeyError, TypeError) as error:
        raise UnfitRowsError(f"rows of layers without {error}") from error
    return {key: one for key, one in found.items() if one is not None}


def levels(of: Iterable[Layer], name: str, *, log: bool) -> list[float]:
    """A column's values in the layers' order, or their decimal logarithms; 0 has none."""
    values = [layer[name] for layer in of]
    return [math.log10(value) for value in values if value > 0] if log else values


def average(name: str, *, log: bool = False) -> Callable[[list[Layer]], float | None]:
    """The mean of a column, or of its logarithm, over the layers."""

    def value(of: list[Layer]) -> float | None:
        found = levels(of, name, log=log)
        return fmean(found) if found else None

    return value


def fluctuation(name: str, *, log: bool) -> Callable[[list[Layer]], float | None]:
    """Mean step between neighbouring layers, in the column's unit or in decades."""

    def value(of: list[Layer]) -> float | None:
        found = levels(of, name, log=log)
        steps = [abs(b - a) for a, b in itertools.pairwise(found)]
        return fmean(steps) if steps else None

    return value


def margins(of: list[Layer], name: str, kind: str, *, log: bool) -> dict[int, float]:
    """How far layers of a kind are above the mean of both neighbours, by number."""

    def level(layer: Layer) -> float:
        return math.log10(layer[name]) if log else layer[name]

    return {
        here["number"]: level(here) - (level(before) + level(after)) / 2
        for before, here, after in zip(of, of[1:], of[2:], strict=False)
        if here["kind"] == kind and (not log or min(x[name] for x in (before, here, after)) > 0)
    }


def margin(
    name: str, kind: str, *, log: bool, sign: int = 1
) -> Callable[[list[Layer]], float | None]:
    """The mean of `margins` over a network's layers of a kind, times the sign."""

    def value(of: list[Layer]) -> float | None:
        found = margins(of, name, kind, log=log)
        return sign * fmean(found.values()) if found else None

    return value
