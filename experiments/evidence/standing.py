"""Claims that certain networks are the best or the worst of several: rows in, judgements out."""

from collections.abc import Collection, Sequence
from typing import Any

from experiments.evidence.claims import Judgement, Rows

SHOWN = 2
"""Runners-up that an effect names."""


def lived(rows: Rows) -> list[Any]:
    """The rows of networks that trained and have figures."""
    return [
        row for row in rows if row["status"] == "finished" and row["percent_decrease"] is not None
    ]


def extreme(
    rows: Rows, names: Collection[str], *, largest: bool, column: str = "percent_decrease"
) -> Judgement:
    """Whether the named networks, and no others, have the largest (or smallest) values.

    A tie at the border does not hold. Not tested where one of the networks failed or was not
    trained, or where there are fewer others than named ones, at least two.

    Args:
        rows: a row a network with `network`, `status`, `percent_decrease` and the column; failed
            ones count for nothing.
        names: of the networks.
        largest: whether they should have the largest values, or the smallest.
        column: name of the value.
    """
    compared = lived(rows)
    missing = [name for name in names if not any(row["network"] == name for row in compared)]
    if missing:
        return Judgement(None, "", f"not trained here: {', '.join(missing)}")
    others = [row for row in compared if row["network"] not in names]
    if len(others) < max(2, len(names)):
        return Judgement(None, "", f"only {len(others)} others were trained")
    own = [row for row in compared if row["network"] in names]
    sign = 1 if largest else -1
    nearest = sorted(others, key=lambda row: -sign * row[column])[:SHOWN]
    border = min(sign * row[column] for row in own)
    places = sorted(place_of(row, compared, sign, column) for row in own)
    told = ", ".join(_told(row, column) for row in own)
    effect = (
        f"{column} {told}: place {_and(places)} of {len(compared)}; nearest others "
        f"{', '.join(_told(row, column) for row in nearest)}"
    )
    gap = border - sign * nearest[0][column]
    spread = max(row.get(f"{column}_std") or 0.0 for row in (*own, nearest[0]))
    note = "the gap to the nearest is within a deviation over draws" if abs(gap) <= spread else ""
    return Judgement(gap > 0, effect, note)


def place_of(row: Any, rows: Rows, sign: int, column: str) -> int:
    """A row's place among rows by a column, 1 for the largest (sign 1) or smallest (-1) value."""
    return 1 + sum(sign * other[column] > sign * row[column] for other in rows)


def _told(row: Any, column: str) -> str:
    spread = row.get(f"{column}_std")
    told = "" if spread is None else f" ± {spread:.2g}"
    return f"{row['network']} {row[column]:.3g}{told}"


def _and(places: Sequence[int]) -> str:
    return " and ".join(map(str, places))
