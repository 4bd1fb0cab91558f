"""`tfqdyn check`."""

import dataclasses
from dataclasses import replace
from pathlib import Path

from tfqdyn.cli import analyze, inputs
from tfqdyn.cli.command import Command, Given, Outcome
from tfqdyn.cli.flags import Flag

THREADS = next(flag for flag in inputs.SETTINGS if flag.name == "threads")
OWN = tuple(flag for flag in analyze.COMMAND.flags if flag not in inputs.SETTINGS)
"""The flags of `analyze` that are no settings: the baseline has those."""


def run(given: Given) -> Outcome:
    """Analyzes a model as its baseline was, and holds the two against each other."""
    from tfqdyn.commands import check
    from tfqdyn.files import wholefiles
    from tfqdyn.results import restore

    baseline = restore.load(Path(given["baseline"]))
    settings = check.settings_of(baseline, given["threads"])
    values = {s.name: getattr(settings, s.name) for s in dataclasses.fields(settings)}
    outcome = analyze.run(Given({**given.values, **values}))
    result = restore.load(given.out)
    found = check.cases(baseline, result, given["tolerance"])
    name = result.model.name
    wholefiles.write(given.out / "check.xml", check.junit(found, name))
    wholefiles.write(given.out / "check.md", check.markdown(found, name).encode())
    return replace(
        outcome,
        tables=(check.table(found),),
        written=("check.md", "check.xml", *outcome.written),
        passed=not check.failed(found),
    )


COMMAND = Command(
    "check",
    "whether a model's 8-bit network is as good as a baseline's, for build servers",
    """
Analyzes the model with the settings of the run in --baseline, on the same images. Fails (exit
status 1) where accuracy is lost beyond chance (a paired test over images and draws), or where the
SQNR of an output or a layer fell by more than --tolerance dB and the spread over draws.

Writes check.xml (JUnit), check.md (for a summary page) and all that `analyze` writes, so that the
run can be the next baseline.
""",
    "tfqdyn check --baseline=runs/good --model=net.keras --data=images.npz --out=runs/now",
    (
        Flag("baseline", str, None, "Folder of the run that this one must not be worse than.",
             inputs.FILES, "DIR", required=True),
        *OWN,
        Flag("tolerance", float, 1.0, "Decibels by which an SQNR may fall beyond its spread.",
             "What fails"),
        THREADS,
    ),
    run,
)  # fmt: skip
