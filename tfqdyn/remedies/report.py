"""Tables of a treatment for a terminal."""

from collections.abc import Sequence
from statistics import median

from rich.table import Table

from tfqdyn.remedies.auto import Attempt, Choice
from tfqdyn.remedies.course import Stage
from tfqdyn.remedies.runner import Treatment
from tfqdyn.results import RunResult

MOST_FINDINGS = 8


def named(stage: Stage) -> RunResult:
    """The stage's result, called by the stage's name."""
    return stage.result.named(stage.name)


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


def attempts_table(choices: Sequence[Choice]) -> Table:
    """What `auto` tried on images that it held out: one row per remedy, medians over the trials."""
    table = Table(title="tried on held-out images", title_justify="left")
    table.add_column("remedy")
    named = {attempt.yardstick.name for choice in choices for attempt in choice.attempts}
    table.add_column(", ".join(sorted(named)) or "distance of outputs", justify="right")
    table.add_column("kept")
    table.add_column("because of", overflow="fold")
    tried: dict[str, list[Attempt]] = {}
    for attempt in (attempt for choice in choices for attempt in choice.attempts):
        tried.setdefault(attempt.remedy, []).append(attempt)
    for remedy, attempts in tried.items():
        before, after = (median(attempt.distance[i] for attempt in attempts) for i in (0, 1))
        verdict = _verdict(attempts, len(choices))
        table.add_row(remedy, f"{before:.3g} to {after:.3g}", verdict, attempts[0].because)
    return table


def _verdict(attempts: Sequence[Attempt], trials: int) -> str:
    """In how many trials a remedy was kept, and why it could not be tried where it could not."""
    kept = sum(attempt.kept for attempt in attempts)
    if trials == 1:
        return "yes" if kept else attempts[0].note or "no"
    notes = dict.fromkeys(attempt.note for attempt in attempts if attempt.note)
    return "; ".join([f"{kept} of {trials} trials", *notes])
