"""Tables of a treatment for a terminal."""

from dataclasses import replace

from rich.table import Table

from tfqdyn.remedies.auto import Choice
from tfqdyn.remedies.course import Stage
from tfqdyn.remedies.runner import Treatment
from tfqdyn.results import RunResult

MOST_FINDINGS = 8


def named(stage: Stage) -> RunResult:
    """The stage's result, called by the stage's name."""
    return replace(stage.result, model={**stage.result.model, "name": stage.name})


def findings_table(treatment: Treatment, count: int = MOST_FINDINGS) -> Table:
    """The gravest findings on the untreated network."""
    found = treatment.findings
    more = f" (of {len(found)})" if len(found) > count else ""
    table = Table(title=f"diagnosis{more}", title_justify="left")
    table.add_column("fault")
    table.add_column("evidence", overflow="fold")
    table.add_column("try")
    for finding in found[:count]:
        table.add_row(finding.fault, finding.text, ", ".join(finding.remedies))
    return table


def attempts_table(choice: Choice) -> Table:
    """What `auto` tried, on images that it held out."""
    table = Table(title="tried on held-out images", title_justify="left")
    table.add_column("remedy")
    table.add_column("output QKL-Div", justify="right")
    table.add_column("kept")
    table.add_column("because of", overflow="fold")
    for attempt in choice.attempts:
        before, after = attempt.qkl_div
        verdict = "yes" if attempt.kept else attempt.note or "no"
        table.add_row(attempt.remedy, f"{before:.3g} to {after:.3g}", verdict, attempt.because)
    return table
