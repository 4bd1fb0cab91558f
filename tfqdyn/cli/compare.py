"""`tfqdyn compare`."""

from pathlib import Path

from tfqdyn.cli import inputs
from tfqdyn.cli.command import Command, Given, Outcome


def run(given: Given) -> Outcome:
    """Compares finished runs."""
    from tfqdyn.commands import compare

    runs = compare.compare([Path(folder) for folder in given.arguments], given.out)
    links = tuple(compare.navigation_file(place) for place in range(1, len(runs)))
    written = ("report.html", "differences.csv", *links)
    return Outcome(tuple(compare.tables_of(runs)), (), written)


COMMAND = Command(
    "compare",
    "finished runs over one another, and how they differ from the first",
    """
Takes the folders that `analyze` and other commands wrote, of one network or of several. Writes
report.html with all runs over one another, and differences.csv with every figure that differs.
sync_navigation_1.json links the graphs of the first two runs in Model Explorer (`tfqdyn show`).
""",
    "tfqdyn compare runs/before runs/after --out=runs/both",
    (inputs.OUT,),
    run,
    arguments="RUN_DIR...",
)
