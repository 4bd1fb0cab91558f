"""`tfqdyn schemes`."""

from tfqdyn.cli import inputs
from tfqdyn.cli.command import Command, Given, Outcome
from tfqdyn.cli.flags import Flag
from tfqdyn.console import progress_bar, stage
from tfqdyn.schemes import SCHEMES


def run(given: Given) -> Outcome:
    """Converts a model in several schemes, and measures each."""
    model, dataset, config = inputs.read(given)
    from tfqdyn import report
    from tfqdyn.commands import schemetable

    table = schemetable.compare_schemes(
        model, dataset, config, given["schemes"], given["runs"], given.out, progress_bar
    )
    stage("write the report")
    report.write_report(table.results, given.out / "report.html")
    made = tuple(f"{result.model.name}/" for result in table.results)
    notes = table.results[0].notes
    written = ("report.html", "schemes.json", *made)
    return Outcome((schemetable.render(table),), notes, written, table.results[0].warnings)


COMMAND = Command(
    "schemes",
    "accuracy, size and latency of a model in every scheme",
    """
Converts the model in every scheme of --schemes, measures each on the same images, and prints
one row per scheme. Writes a folder per scheme with what `analyze` writes, schemes.json with the
rows, and report.html over all of them.
""",
    "tfqdyn schemes --model=net.keras --data=images.npz --preprocessing=tf --out=runs/schemes",
    (
        *inputs.ANALYSIS,
        Flag("schemes", tuple, tuple(SCHEMES), "What to convert to.", "Schemes"),
        Flag("runs", int, 20, "A latency is the median of this many runs.", "Schemes"),
    ),
    run,
)  # fmt: skip
