"""Verdicts by intervals; noise and untrained networks hold no claim."""

import collections
from typing import Any

import noise
import numpy as np
import pytest

from experiments import catalogue
from experiments.evidence.claims import Claim, UnfitRowsError
from experiments.evidence.effects import Estimate, Given, Missing, mean
from experiments.evidence.verdicts import (
    BEFORE,
    FAILS,
    HOLDS,
    UNDECIDED,
    UNTESTED,
    corrected,
    decided,
    judged,
    judged_all,
    row_of,
)

TRIALS = 16


def at(value: float, half: float = 1.0, **more: Any) -> Estimate:
    return Estimate(value, value - half, value + half, 0.01, 8, **more)


@pytest.mark.parametrize(
    ("effect", "control", "excess", "verdict"),
    [
        (at(2), None, None, HOLDS),
        (at(2), at(0), at(2), HOLDS),
        (at(4), at(2), at(2), HOLDS),
        (at(2), at(2), at(0), BEFORE),
        (at(2), at(2), Missing("8 networks without any spread"), BEFORE),
        (at(2), at(0.5), at(0.5), UNDECIDED),
        (at(2), Missing("not made"), Missing("not made"), UNDECIDED),
        (at(0.5), None, None, UNDECIDED),
        (at(-1), None, None, FAILS),
        (at(1, 1.5), None, None, UNDECIDED),
        (at(3, lacks="a second training seed"), None, None, UNDECIDED),
    ],
)
def test_intervals_decide(effect: Estimate, control: Any, excess: Any, verdict: str):
    assert decided(effect, 1.2, control, excess)[0] == verdict


def test_what_would_decide_is_named():
    assert decided(at(0.5), 1.0)[1] == "32 networks or as many seeds more"  # (1 / 0.5)^2 of 8
    assert decided(at(3, lacks="a second training seed"), 1.0)[1] == "a second training seed"
    assert decided(at(3), 1.0, at(0), Missing("x"))[0] == UNDECIDED
    lossless = decided(at(3), 1.0, premise=at(0.5))
    assert lossless[0] == UNDECIDED
    assert lossless[1].startswith("more steps: 8 bits take 0.5 [-0.5, 1.5] points")


def claim(name: str, p: float | None, work: str = "thesis") -> Any:
    found = Missing("none") if p is None else Estimate(1.0, 0.5, 1.5, p, 8)
    return Claim(name, work, "it is so", "W", ("a",), lambda _: Given(found), "points", 1.0)


def test_holm_is_within_a_work():
    claims = [claim("a", 0.01), claim("b", 0.04), claim("c", 0.03), claim("d", None)]
    claims.append(claim("e", 0.04, "sheng"))
    found = judged_all(claims, lambda _: [{}])
    # sorted .01, .03, .04: times 3, 2, 1, never falling
    assert [one.holm for one in found] == pytest.approx([0.03, 0.06, 0.06, None, 0.04])
    assert corrected([]) == []


def test_missing_rows_are_not_tested_and_failures_are_named():
    one = claim("a", 0.01)
    gone = judged(one, lambda _: None)
    assert (gone.verdict, gone.effect) == (UNTESTED, Missing("not made: a"))
    assert row_of(gone)["wanted"] == "not made: a"
    failed = Claim("f", "thesis", "s", "W", (), lambda _: Given(at(2)), "points", 1.0, table="t")
    rows = [{"network": "DWS", "status": "vanished"}, {"network": "B", "status": "finished"}]
    assert judged(failed, lambda _: rows).note == "left out: DWS (vanished)"

    def unfit(_: Any) -> Any:
        raise UnfitRowsError("rows without loss")

    old = Claim("o", "thesis", "s", "W", ("a",), unfit, "points", 1.0)
    assert judged(old, lambda _: []).effect == Missing("rows without loss")


def test_the_control_reads_the_same_rows_of_untrained_networks():
    def effect(found: Any) -> Any:
        return mean({(row["network"], 0): row["range"] for row in found["layers"]})

    one = Claim(
        "c", "thesis", "s", "W", ("layers",), effect, "u", 1.0, controls={"layers": "begun"}
    )
    rows = {
        "layers": [{"network": n, "range": v} for n, v in zip("abc", (2.0, 2.1, 2.2), strict=True)],
        "begun": [{"network": n, "range": v} for n, v in zip("abc", (2.1, 2.0, 2.2), strict=True)],
    }
    found = judged(one, rows.get)
    assert found.verdict == BEFORE
    assert isinstance(found.excess, Estimate)
    assert found.excess.value == pytest.approx(0.0)
    assert judged(one, {"layers": rows["layers"]}.get).wanted.startswith("the same networks before")


def test_every_claim_reads_artifacts_that_there_are():
    names = [one.name for one in catalogue.CLAIMS]
    assert len(set(names)) == len(names)
    read = {a for one in catalogue.CLAIMS for a in (*one.read, *one.controls.values())}
    assert read <= set(catalogue.ARTIFACTS)
    assert all(one.claimed > 0 for one in catalogue.CLAIMS)


def test_noise_holds_hardly_any_claim():
    verdicts, held, untested = collections.Counter(), collections.Counter(), collections.Counter()
    for trial in range(TRIALS):
        rows = noise.rows(np.random.default_rng(trial), seeds=1 + trial % 2)
        for one in judged_all(catalogue.CLAIMS, rows.get):
            verdicts[one.verdict] += 1
            held[one.claim.name] += one.verdict == HOLDS
            untested[one.claim.name] += one.verdict == UNTESTED
    assert verdicts[HOLDS] <= 0.05 * verdicts.total()
    assert max(held.values()) <= 0.3 * TRIALS, held.most_common(3)
    assert max(untested.values()) < TRIALS, untested.most_common(3)


def test_untrained_networks_hold_no_claim_with_a_control():
    for seed in range(3):
        rows = noise.rows(np.random.default_rng(seed), seeds=1)
        begun = dict(rows)
        for one in catalogue.CLAIMS:
            for name, control in one.controls.items():
                begun[name] = [{**row, "status": "finished"} for row in rows[control]]
        for one in judged_all([c for c in catalogue.CLAIMS if c.controls], begun.get):
            assert one.verdict != HOLDS, one
