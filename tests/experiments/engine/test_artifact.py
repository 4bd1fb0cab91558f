"""Rows survive their file; published results say what is there and what is not."""

from pathlib import Path

import pytest

from experiments.engine import artifact, scales
from experiments.engine.imagenet import ImageNet
from experiments.engine.store import Store
from experiments.evidence import claims, publication

SCOPE = artifact.Scope(scales.SMOKE, 3, ImageNet())


def table(name: str, rows: list[dict[str, str | int | float | None]]) -> artifact.Artifact:
    return artifact.Artifact(name, "Work, Table 1", "a table", lambda _: (), lambda *_: rows)


def test_rows_come_back_as_they_went(tmp_path: Path) -> None:
    rows = [
        {"network": "A, with a comma", "layers": 3, "accuracy": 0.1},
        {"network": "B|C", "accuracy": float("inf"), "status": None, "qmse": 1e-12},
    ]
    made = artifact.make(table("g/t", rows), SCOPE, Store(tmp_path))
    assert made == [
        {"network": "A, with a comma", "layers": 3, "accuracy": 0.1, "status": None, "qmse": None},
        {"network": "B|C", "layers": None, "accuracy": float("inf"), "status": None, "qmse": 1e-12},
    ]
    assert made == artifact.read_rows(artifact.folder_of("g/t", SCOPE, tmp_path))


def test_an_artifact_without_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one row"):
        artifact.make(table("g/t", []), SCOPE, Store(tmp_path))


def judge(rows: object) -> claims.Judgement:
    accuracy = rows["g/t"][0]["accuracy"]  # pyright: ignore[reportIndexIssue]
    return claims.Judgement(accuracy > 0.5, f"accuracy {accuracy}")


def test_claims_are_judged_by_saved_rows_alone(tmp_path: Path) -> None:
    claim = claims.Claim("g/c", "Accuracy is above a half.", "Work, 1", ("g/t",), judge)
    assert claims.judged(claim, SCOPE, tmp_path) == claims.Judgement(None, "", "not made: g/t")
    for accuracy, verdict in ((0.75, "holds"), (0.25, "does not hold")):
        artifact.make(table("g/t", [{"accuracy": accuracy}]), SCOPE, Store(tmp_path))
        row = claims.row_of(claim, claims.judged(claim, SCOPE, tmp_path))
        assert row["verdict"] == verdict
        assert row["effect"] == f"accuracy {accuracy}"


def test_what_chance_explains_is_not_decided() -> None:
    told = {holds: claims.Judgement(holds, "p = 0.2").verdict for holds in (True, False, None)}
    assert told == {True: "holds", False: "does not hold", None: "not decided at this scale"}
    assert claims.Judgement(None, "", "no network").verdict == "not tested at this scale"


def test_claims_about_losses_need_losses(tmp_path: Path) -> None:
    claim = claims.Claim("g/c", "It is so.", "W", (), lambda _: claims.Judgement(True, "e"), "g/t")

    def with_losses(*lost: float) -> claims.Judgement:
        rows = [
            {"status": "finished", "fp32_accuracy": 50.0, "uint8_accuracy": 50.0 - points}
            for points in lost
        ]
        diverged = {"status": "diverged", "fp32_accuracy": None, "uint8_accuracy": None}
        artifact.make(table("g/t", [*rows, diverged]), SCOPE, Store(tmp_path))
        return claims.judged(claim, SCOPE, tmp_path)

    # Wilcoxon's one-sided p of n differences of one sign is 2^-n: 0.03 for 5, 0.06 for 4.
    assert with_losses(1.0, 2.0, 3.0, 4.0, 5.0).holds
    assert with_losses(1.0, 2.0, 3.0, 4.0).holds is None
    nothing = with_losses(1.0, -1.5, -2.0, 0.0, 0.5, -0.5)
    assert nothing.holds is None
    assert nothing.effect == "e"
    assert nothing.note.startswith("8 bits take no accuracy from these networks")


def test_publication_holds_tables_verdicts_and_what_was_not_made(tmp_path: Path) -> None:
    one, two = table("g/t", [{"accuracy": 0.75, "name": "a|b"}]), table("g/u", [])
    artifact.make(one, SCOPE, Store(tmp_path))
    claim = claims.Claim("g/c", "Accuracy is above a half.", "Work, 1", ("g/t",), judge)
    to = tmp_path / "results"
    (row,) = publication.publish({"g": (one, two)}, [claim], SCOPE, tmp_path, to)
    assert row["verdict"] == "holds"
    text = (to / "README.md").read_text()
    assert "1 claims: 1 holds" in text
    assert "| 0.75 | a\\|b |" in text
    assert text.count("Not made.") == 1
    assert (to / "g" / "t" / "rows.csv").read_text() == "accuracy,name\n0.75,a|b\n"
    assert "Accuracy is above a half." in (to / "claims.csv").read_text()
