"""Rows survive their file; published results say what is there and what is not."""

from pathlib import Path

import pytest

from experiments.engine import artifact, scales
from experiments.engine.imagenet import ImageNet
from experiments.engine.store import Store
from experiments.evidence import claims, publication
from experiments.evidence.effects import Estimate, Given

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


def accuracy(found: claims.Found) -> Given:
    value = found["g/t"][0]["accuracy"] - 0.5
    return Given(Estimate(value, value - 0.1, value + 0.1, 0.01, 3))


CLAIM = claims.Claim(
    "g/c", "thesis", "Accuracy is above a half.", "Work, 1", ("g/t",), accuracy, "of 1", 0.2
)


def test_publication_holds_tables_verdicts_and_what_was_not_made(tmp_path: Path) -> None:
    one, two = table("g/t", [{"accuracy": 0.75, "name": "a|b"}]), table("g/u", [])
    artifact.make(one, SCOPE, Store(tmp_path))
    to = tmp_path / "results"
    (row,) = publication.publish({"g": (one, two)}, [CLAIM], SCOPE, tmp_path, to)
    assert row["verdict"] == "holds"
    claims_page = (to / "CLAIMS.md").read_text()
    assert "1 claims: 1 holds." in claims_page
    assert "| **holds** | 0.25 [0.15, 0.35], 3 networks (of 1) | *0.2* |" in claims_page
    group = (to / "g" / "README.md").read_text()
    assert "| 0.75 | a\\|b |" in group
    assert group.count("Not made.") == 1
    assert "The work says: Accuracy is above a half. We see: **holds**" in group
    page = (to / "README.md").read_text()
    assert "| Yun's thesis | 1 | 0 | 0 | 0 | 0 |" in page
    assert "Not made: `g/u`." in page
    assert (to / "verdicts.svg").is_file()
    assert (to / "g" / "t" / "rows.csv").read_text() == "accuracy,name\n0.75,a|b\n"
    assert "Accuracy is above a half." in (to / "claims.csv").read_text()


def test_a_published_folder_is_judged_by_the_rules_of_today(tmp_path: Path) -> None:
    one, to = table("g/t", [{"accuracy": 0.75}]), tmp_path / "results"
    artifact.make(one, SCOPE, Store(tmp_path))
    publication.publish({"g": (one,)}, [CLAIM], SCOPE, tmp_path, to)
    (to / "g" / "t" / "rows.csv").write_text("accuracy\n0.25\n")
    (row,) = publication.write({"g": (one,)}, [CLAIM], to)
    assert (row["verdict"], row["effect"]) == ("does not hold", -0.25)
    with pytest.raises(ValueError, match="no published artifact"):
        publication.write({"g": (one,)}, [CLAIM], tmp_path / "empty")


def test_an_artifact_says_what_its_jobs_ran_with_and_what_is_pending() -> None:
    records = [{"versions": {"keras": "3.1", "numpy": "2.0"}}, {"versions": {"keras": "3.2"}}, {}]
    assert artifact.versions_of(records) == {"keras": "3.1, 3.2", "numpy": "2.0"}
