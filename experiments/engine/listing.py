"""What `experiments.run` prints: the catalogue, and an artifact's rows."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from experiments.engine.artifact import Artifact, Row
from experiments.engine.estimate import Cost
from experiments.engine.store import key_of


def catalogue_table(artifacts: Sequence[Artifact]) -> Table:
    """A line an artifact: name, source, what it shows."""
    table = Table(title="Artifacts", title_justify="left")
    for heading in ("artifact", "source", "shows"):
        table.add_column(heading)
    for artifact in artifacts:
        table.add_row(artifact.name, artifact.source, artifact.title)
    return table


def rows_table(artifact: Artifact, rows: Sequence[Row]) -> Table:
    """An artifact's rows, its columns of choice."""
    columns = artifact.columns or tuple(dict.fromkeys(name for row in rows for name in row))
    table = Table(title=f"{artifact.source}: {artifact.title}", title_justify="left")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(cell(row, column) for column in columns))
    return table


def claims_table(verdicts: Sequence[Row]) -> Table:
    """Claims with their verdicts and the figures that decide."""
    table = Table(title="Claims", title_justify="left")
    columns = ("claim", "verdict", "scale", "effect", "low", "high", "unit")
    for heading in columns:
        table.add_column(heading, overflow="fold")
    for row in verdicts:
        table.add_row(*(shown(row[column]) for column in columns))
    return table


def costs_table(found: Sequence[Cost]) -> Table:
    """A line a training: what it takes on this machine."""
    table = Table(title="Trainings that are left", title_justify="left")
    for heading in ("training", "million MACs", "images/s", "hours"):
        table.add_column(heading, overflow="fold")
    for cost in found:
        figures = (cost.macs / 1e6, cost.images_per_second, cost.hours)
        table.add_row(key_of(cost.training), *(shown(figure) for figure in figures))
    return table


def cell(row: Row, column: str) -> str:
    """A row's value, with its deviation over calibration draws where the row has one."""
    value, std = shown(row.get(column)), row.get(f"{column}_std")
    return f"{value} ± {std:.2g}" if isinstance(std, int | float) else value


def shown(value: Any) -> str:
    """A value in four digits; an absent one as a dash."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
