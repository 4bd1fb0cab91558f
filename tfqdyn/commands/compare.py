"""The command `compare`: finished runs over one another, and what differs between them.

OUT/report.html       the report of all runs; the first is what the others are held against
OUT/differences.csv   every figure of the networks and of layers of one name, a line each
OUT/sync_navigation_K.json   links the first run's graph with that of run K, from 1, in Model
                             Explorer (`results.modelexplorer.synchronized`)
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from tfqdyn.files import wholefiles
from tfqdyn.report import (
    Difference,
    Run,
    differences,
    named_runs,
    summary_rows,
    to_csv,
    write_report,
)
from tfqdyn.results import modelexplorer, restore
from tfqdyn.results.layervalues import LAYER_VALUES

MOST_LAYERS = 8
SQNR = "sqnr_pooled_db"


def compare(folders: Sequence[Path], out: Path) -> tuple[Run, ...]:
    """Compares the runs in these folders; the report and the differences are written to `out`.

    Raises:
        ValueError: no folders, the same one twice, or one that is no run folder.
    """
    if not folders:
        raise ValueError(
            "compare needs at least one run folder, received none: tfqdyn compare RUN_DIR... "
            "--out=DIR"
        )
    twice = [str(f) for f, n in Counter(folder.resolve() for folder in folders).items() if n > 1]
    if twice:
        raise ValueError(f"expected different run folders, received {twice[0]} more than once")
    loaded = [restore.load(folder) for folder in folders]
    runs = named_runs(dict(zip(names(folders), loaded, strict=True)))
    wholefiles.prepare(out, ("report.html",))
    wholefiles.write(out / "differences.csv", to_csv(differences(runs)).encode())
    for place, run in enumerate(runs[1:], start=1):
        linked = modelexplorer.synchronized(runs[0].result, run.result)
        wholefiles.write(out / navigation_file(place), linked)
    write_report({run.name: run.result for run in runs}, out / "report.html")
    return runs


def navigation_file(place: int) -> str:
    """The file that links the first run's graph with that of another, from 1."""
    return f"sync_navigation_{place}.json"


def names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell all folders apart."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        ends = ["/".join(part[-length:]) for part in parts]
        if len(set(ends)) == len(ends):
            return ends
    return ["/".join(part) for part in parts]


def tables_of(runs: Sequence[Run]) -> list[Table]:
    """The networks side by side, and the layers whose SQNR differs most, for a terminal."""
    table = Table(title="runs, and differences from the first", title_justify="left")
    table.add_column("")
    for run in runs:
        table.add_column(run.name, justify="right", overflow="fold")
    for row in summary_rows(runs):
        cells = [
            f"{' '.join((cell.text, cell.deviation)).strip()}"
            + (f" ({cell.difference})" if cell.difference else "")
            for cell in row.cells
        ]
        table.add_row(row.heading, *cells)
    changed = [d for d in differences(runs) if d.figure == SQNR and abs(d.difference) > 0]
    changed = sorted(changed, key=lambda d: -abs(d.difference))[:MOST_LAYERS]
    return [table, _layers_table(changed)] if changed else [table]


def _layers_table(changed: Sequence[Difference]) -> Table:
    table = Table(
        title=f"layers whose {LAYER_VALUES[SQNR].label} differs most", title_justify="left"
    )
    for heading in ("run", "no.", "layer", "kind", "first", "here", "difference"):
        numeric = heading in ("no.", "first", "here", "difference")
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for d in changed:
        number = "" if d.number is None else str(d.number)
        table.add_row(
            d.run, number, d.layer, d.kind, f"{d.first:.1f}", f"{d.value:.1f}",
            f"{d.difference:+.1f}",
        )  # fmt: skip
    return table
