"""The works' claims, each held against our own rows: holds, does not, not decided, not tested.

A claim is a function of saved rows. Its rule is part of its statement; where there are several
networks or draws its effect comes with a spread or a rank test.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.engine.artifact import Row, Scope, folder_of, read_rows
from experiments.evidence.ranktests import above_zero, verdict

Rows = Sequence[Mapping[str, Any]]

HOLDS, FAILS = "holds", "does not hold"
UNDECIDED, UNTESTED = "not decided at this scale", "not tested at this scale"


@dataclass(frozen=True)
class Judgement:
    """What our rows say of a claim.

    Attributes:
        holds: the verdict; None where the rows cannot tell.
        effect: the figures that decide, in one line; empty where there are none.
        note: why it was not tested, or what to beware of.
    """

    holds: bool | None
    effect: str
    note: str = ""

    @property
    def verdict(self) -> str:
        """In words; what was tested without telling it from chance is not decided."""
        if self.holds is None:
            return UNDECIDED if self.effect else UNTESTED
        return HOLDS if self.holds else FAILS


@dataclass(frozen=True)
class Claim:
    """A claim of a work.

    Attributes:
        name: `group/name`.
        statement: the claim, with the rule that decides it here.
        source: the work, with section, table or figure.
        artifacts: names of the artifacts whose rows it reads.
        judge: rows by artifact name -> judgement.
        losses: a table that the claim is about the losses of. Percent accuracy decrease is an
            absolute value: where 8 bits take nothing from these networks, it is the size of the
            noise, and the claim is not decided.
    """

    name: str
    statement: str
    source: str
    artifacts: tuple[str, ...]
    judge: Callable[[Mapping[str, Rows]], Judgement]
    losses: str | None = None


def judged(claim: Claim, scope: Scope, root: Path) -> Judgement:
    """A claim's judgement by the artifacts below a workdir; not tested where one was not made."""
    names = dict.fromkeys((*claim.artifacts, *filter(None, [claim.losses])))
    folders = {name: folder_of(name, scope, root) for name in names}
    missing = [name for name, folder in folders.items() if not (folder / "rows.csv").is_file()]
    if missing:
        return Judgement(None, "", f"not made: {', '.join(missing)}")
    found = {name: read_rows(folder) for name, folder in folders.items()}
    judgement = claim.judge(found)
    if claim.losses is None or judgement.holds is None:
        return judgement
    return unless_nothing_is_lost(judgement, found[claim.losses])


def unless_nothing_is_lost(judgement: Judgement, rows: Rows) -> Judgement:
    """Takes the verdict back where 8 bits take no accuracy from the networks of a table.

    They do if the median over networks of fp32 less uint8 accuracy is above 0 (Wilcoxon, p <=
    0.05).

    Args:
        judgement: of a claim about losses.
        rows: `status`, `fp32_accuracy`, `uint8_accuracy` (percent), a row a network.
    """
    lost = [
        row["fp32_accuracy"] - row["uint8_accuracy"] for row in rows if row["status"] == "finished"
    ]
    test = above_zero(lost)
    if verdict(test.figure is not None and test.figure > 0, test):
        return judgement
    note = f"8 bits take no accuracy from these networks: fp32 less uint8, median points {test}"
    return Judgement(None, judgement.effect, "; ".join(filter(None, (note, judgement.note))))


def row_of(claim: Claim, judgement: Judgement) -> Row:
    """A claim and its verdict as a row."""
    return {
        "claim": claim.name,
        "statement": claim.statement,
        "source": claim.source,
        "verdict": judgement.verdict,
        "effect": judgement.effect,
        "note": judgement.note,
    }
