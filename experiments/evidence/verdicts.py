"""What our rows say of the works' claims.

`holds`: the 95 % interval of the effect is above 0, and, where the claim has a control, so is that
of its excess over the same networks before training. `does not hold`: the interval excludes an
effect of the claimed size. `true before training`: the effect is there, and in the untrained
networks as well, and training adds nothing that can be told. `not decided`: none of these; what
would decide it is named. `not tested`: there are no rows.

Each work makes many claims: by 95 % intervals one in forty holds by chance where there is nothing.
`p` is the one-sided one of effect and excess together (the larger), and `p_holm` that of Holm's
correction among all tested claims of the same work.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from experiments.evidence.claims import Claim, Found, Rows, UnfitRowsError
from experiments.evidence.effects import Estimate, Missing, Sample

WORKS: Mapping[str, str] = {
    "yun_wong": "Yun & Wong, Do All MobileNets Quantize Poorly?",
    "thesis": "Yun's thesis",
    "sheng": "Sheng et al., A Quantization-Friendly Separable Convolution for MobileNets",
}
HOLDS, FAILS = "holds", "does not hold"
BEFORE, UNDECIDED, UNTESTED = "true before training", "not decided", "not tested"
VERDICTS = (HOLDS, FAILS, BEFORE, UNDECIDED, UNTESTED)
TRAINED = ("finished", "untrained", "analyzed")
"""Statuses of networks that have figures."""


@dataclass(frozen=True)
class Verdict:
    """A claim, judged.

    Attributes:
        claim: which.
        verdict: one of `VERDICTS`.
        effect: of the trained networks.
        control: of the same before training; None where the claim has no control.
        excess: of the one over the other.
        wanted: what would decide it; empty where it is decided.
        note: trainings that failed.
        holm: p by Holm's correction among the work's claims.
    """

    claim: Claim
    verdict: str
    effect: Estimate | Missing
    control: Estimate | Missing | None = None
    excess: Estimate | Missing | None = None
    wanted: str = ""
    note: str = ""
    holm: float | None = None

    @property
    def p(self) -> float | None:
        """One-sided, of effect and excess together; None where one of them is missing."""
        parts = [part for part in (self.effect, self.excess) if part is not None]
        known = [part.p for part in parts if isinstance(part, Estimate) and not part.lacks]
        return max(known) if known and len(known) == len(parts) else None


def judged_all(claims: Sequence[Claim], read: Callable[[str], Rows | None]) -> list[Verdict]:
    """Every claim by the rows of artifacts (None for one that was not made), corrected by Holm."""
    return corrected([judged(claim, read) for claim in claims])


def judged(claim: Claim, read: Callable[[str], Rows | None]) -> Verdict:
    """One claim by the rows of artifacts."""
    trained = _rows(claim.read, read)
    if isinstance(trained, Missing):
        return Verdict(claim, UNTESTED, trained)
    note = left_out(trained[claim.table]) if claim.table else ""
    sample = _sample(claim.effect, trained)
    effect = _estimate(sample)
    if isinstance(effect, Missing):
        return Verdict(claim, UNTESTED, effect, note=note)
    control = excess = None
    if claim.controls:
        names = {name: claim.controls.get(name, name) for name in claim.read}
        begun = _rows(tuple(dict.fromkeys(names.values())), read)
        before = (
            begun
            if isinstance(begun, Missing)
            else _sample(claim.effect, {name: begun[own] for name, own in names.items()})
        )
        control = _estimate(before)
        excess = control
        if not isinstance(before, Missing) and not isinstance(sample, Missing):
            excess = _estimate(sample.minus(before))
    premise = None if claim.premise is None else _estimate(_sample(claim.premise, trained))
    verdict, wanted = decided(effect, claim.claimed, control, excess, premise)
    return Verdict(claim, verdict, effect, control, excess, wanted, note)


def decided(
    effect: Estimate,
    claimed: float,
    control: Estimate | Missing | None = None,
    excess: Estimate | Missing | None = None,
    premise: Estimate | Missing | None = None,
) -> tuple[str, str]:
    """The verdict, and what would decide it where nothing does yet; see the module."""
    if effect.lacks:
        return UNDECIDED, effect.lacks
    if isinstance(premise, Missing):
        return UNDECIDED, f"losses to rank: {premise.reason}"
    if premise is not None and not premise.low > 0:
        lost = f"{premise.value:.2g} [{premise.low:.2g}, {premise.high:.2g}] points"
        return UNDECIDED, f"more steps: 8 bits take {lost} from these networks, nothing to rank"
    if effect.low > 0:
        if control is None:
            return HOLDS, ""
        if isinstance(excess, Estimate) and excess.low > 0:
            return HOLDS, ""
        if isinstance(control, Missing):
            return UNDECIDED, f"the same networks before training: {control.reason}"
        if control.low > 0:
            return BEFORE, ""
        if isinstance(excess, Estimate):
            return UNDECIDED, f"{_more(excess, 0.0)}, for what training adds"
        return UNDECIDED, "networks that training changed"
    if effect.high < claimed:
        return FAILS, ""
    return UNDECIDED, _more(effect, claimed)


def _more(effect: Estimate, claimed: float) -> str:
    """How many units would make the interval exclude 0 or the claimed size, as things stand."""
    half = (effect.high - effect.low) / 2
    distance = max(effect.value, claimed - effect.value)
    factor = (half / distance) ** 2 if distance > 0 else math.inf
    if not factor < 100:
        return f"far more {effect.of} or seeds"
    return f"{math.ceil(max(factor, 1.1) * effect.number)} {effect.of} or as many seeds more"


def corrected(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts with Holm's p, work by work."""
    found = list(verdicts)
    for work in dict.fromkeys(one.claim.work for one in found):
        known = [at for at, one in enumerate(found) if one.claim.work == work and one.p is not None]
        worst = 0.0
        for rank, at in enumerate(sorted(known, key=lambda at: found[at].p or 0.0)):
            worst = max(worst, min(1.0, (len(known) - rank) * (found[at].p or 0.0)))
            found[at] = replace(found[at], holm=worst)
    return found


def combined(by_scale: Mapping[str, Sequence[Verdict]]) -> list[tuple[str, Verdict]]:
    """Every claim by the largest scale that decides it, else by the largest that tests it.

    Holm's correction is that of the claims together, whatever scales they are of.

    Args:
        by_scale: all claims' verdicts, in one order, by scale, the largest first.
    """
    chosen = [
        min(zip(by_scale, of, strict=True), key=lambda pair: _OPEN.get(pair[1].verdict, 0))
        for of in zip(*by_scale.values(), strict=True)
    ]
    verdicts = corrected([replace(one, holm=None) for _, one in chosen])
    return [(scale, one) for (scale, _), one in zip(chosen, verdicts, strict=True)]


_OPEN = {UNDECIDED: 1, UNTESTED: 2}


def row_of(one: Verdict) -> dict[str, str | int | float | None]:
    """A verdict as a row of `claims.csv`."""
    row: dict[str, str | int | float | None] = {
        "claim": one.claim.name,
        "work": one.claim.work,
        "statement": one.claim.statement,
        "source": one.claim.source,
        "verdict": one.verdict,
        "unit": one.claim.unit,
    }
    for name, part in (("", one.effect), ("control_", one.control), ("excess_", one.excess)):
        for figure in ("value", "low", "high"):
            row[name + (figure if name else {"value": "effect"}.get(figure, figure))] = (
                getattr(part, figure) if isinstance(part, Estimate) else None
            )
    number = f"{one.effect.number} {one.effect.of}" if isinstance(one.effect, Estimate) else None
    missing = one.effect.reason if isinstance(one.effect, Missing) else ""
    row |= {
        "number": number,
        "claimed": one.claim.claimed,
        "claimed_by": "the work" if one.claim.published else "smallest of interest",
        "p": one.p,
        "p_holm": one.holm,
        "wanted": one.wanted or missing,
        "note": one.note,
    }
    return row


def left_out(rows: Rows) -> str:
    """Names the trainings of a table that failed; empty where none did."""
    failed = [row for row in rows if str(row.get("status", "finished")) not in TRAINED]
    names = dict.fromkeys(f"{row.get('network')} ({row['status']})" for row in failed)
    return f"left out: {', '.join(names)}" if names else ""


def _rows(names: Sequence[str], read: Callable[[str], Rows | None]) -> dict[str, Rows] | Missing:
    found = {name: read(name) for name in names}
    gone = [name for name, rows in found.items() if rows is None]
    if gone:
        return Missing(f"not made: {', '.join(gone)}")
    return {name: rows for name, rows in found.items() if rows is not None}


def _sample(effect: Callable[[Found], Sample | Missing], found: Found) -> Sample | Missing:
    try:
        return effect(found)
    except UnfitRowsError as error:
        return Missing(str(error))


def _estimate(sample: Sample | Missing) -> Estimate | Missing:
    return sample if isinstance(sample, Missing) else sample.estimate()
