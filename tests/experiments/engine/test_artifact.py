"""Rows survive their file; published results say what is there and what is not."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.engine import artifact, jobs, scales
from experiments.engine.imagenet import ImageNet
from experiments.engine.networks import ABLATION
from experiments.engine.store import Store
from experiments.evidence import claims, publication
from experiments.evidence.carried import carried
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
    assert (row["verdict"], row["scale"]) == ("holds", "smoke")
    claims_page = (to / "CLAIMS.md").read_text()
    assert "1 claims: 1 holds." in claims_page
    assert "| **holds** | smoke | 0.25 [0.15, 0.35], 3 networks (of 1) | *0.2* |" in claims_page
    group = (to / "smoke" / "g" / "README.md").read_text()
    assert "| 0.75 | a\\|b |" in group
    assert group.count("Not made.") == 1
    assert "The work says: Accuracy is above a half. We see: **holds**" in group
    page = (to / "README.md").read_text()
    assert "| Yun's thesis | 1 | 0 | 0 | 0 | 0 |" in page
    assert "Made at no scale: `g/u`." in page
    assert (to / "verdicts.svg").is_file()
    assert (to / "smoke" / "g" / "t" / "rows.csv").read_text() == "accuracy,name\n0.75,a|b\n"
    assert "Accuracy is above a half." in (to / "claims.csv").read_text()


def test_a_published_folder_is_judged_by_the_rules_of_today(tmp_path: Path) -> None:
    one, to = table("g/t", [{"accuracy": 0.75}]), tmp_path / "results"
    artifact.make(one, SCOPE, Store(tmp_path))
    publication.publish({"g": (one,)}, [CLAIM], SCOPE, tmp_path, to)
    (to / "smoke" / "g" / "t" / "rows.csv").write_text("accuracy\n0.25\n")
    (row,) = publication.write({"g": (one,)}, [CLAIM], to)
    assert (row["verdict"], row["effect"]) == ("does not hold", -0.25)
    with pytest.raises(ValueError, match="no published artifact"):
        publication.write({"g": (one,)}, [CLAIM], tmp_path / "empty")


def test_a_claim_is_judged_at_the_largest_scale_that_decides_it(tmp_path: Path) -> None:
    one, to = table("g/t", [{"accuracy": 0.75}]), tmp_path / "results"
    scopes = [artifact.Scope(scale, 3, ImageNet()) for scale in (scales.SMOKE, scales.LONG)]
    for scope in scopes:
        artifact.make(one, scope, Store(tmp_path))
        publication.publish({"g": (one,)}, [CLAIM], scope, tmp_path, to)
    for accuracy_at_long, verdict, scale in (
        (0.25, "does not hold", "long"),
        (0.55, "holds", "smoke"),  # [-0.05, 0.15] decides nothing of 0.1
    ):
        (to / "long" / "g" / "t" / "rows.csv").write_text(f"accuracy\n{accuracy_at_long}\n")
        wide = replace(CLAIM, claimed=0.1)
        (row,) = publication.write({"g": (one,)}, [wide], to)
        assert (row["verdict"], row["scale"]) == (verdict, scale)


def of_networks(*figures: tuple[str, float | None]) -> list[dict[str, str | int | float | None]]:
    return [
        {"network": name, "seed": 0, "status": "finished" if value else "not done yet",
         "accuracy": value, "network_sha256": "aaaa" if value else None}
        for name, value in figures
    ]  # fmt: skip


REGULAR, DWS = "Regular Conv With Gamma HeNorm", "DWS Conv With Gamma HeNorm"


def test_rows_of_networks_that_a_run_has_not_done_stay() -> None:
    old = of_networks((DWS, 0.5), (REGULAR, 0.6))
    new = of_networks((DWS, None), (REGULAR, 0.7))
    found = carried(new, old, {"aaaa"})
    assert [(row["network"], row["accuracy"]) for row in found.rows] == [(DWS, 0.5), (REGULAR, 0.7)]
    assert found.kept == (f"{DWS} (seed 0)",)
    assert carried(new, old, {"bbbb"}).rows == tuple(new)  # the network was changed since


def test_layers_of_a_network_stay_together_and_in_the_works_order() -> None:
    old = [{"network": DWS, "number": k, "qmse": k / 10} for k in (1, 2)]
    new = [{"network": REGULAR, "number": k, "qmse": 1.0} for k in (1, 2)]
    found = carried(new, old)
    assert [row["network"] for row in found.rows] == [DWS, DWS, REGULAR, REGULAR]
    assert carried([{"rho": 0.5}], [{"rho": 0.4}]).rows == ({"rho": 0.5},)


def test_a_publication_keeps_what_an_earlier_run_did(tmp_path: Path) -> None:
    to = tmp_path / "results"
    job = jobs.training_of(ABLATION[0], scales.SMOKE, 0)
    for name, rows in (
        ("first", of_networks((DWS, 0.5), (REGULAR, None))),
        ("second", of_networks((DWS, None), (REGULAR, 0.7))),
    ):
        rows = [{**row, "network_sha256": job.initial.digest()[:12]} for row in rows]
        one = replace(table("g/t", rows), jobs=lambda _: (job,))
        artifact.make(one, SCOPE, Store(tmp_path / name))
        publication.publish({"g": (one,)}, [CLAIM], SCOPE, tmp_path / name, to)
    kept = artifact.read_rows(to / "smoke" / "g" / "t")
    assert [row["accuracy"] for row in kept] == [0.5, 0.7]
    assert f"Rows of earlier runs: {DWS} (seed 0)." in (to / "smoke/g/README.md").read_text()
    assert "What is not trained yet" not in (to / "README.md").read_text()


def test_an_artifact_says_what_its_jobs_ran_with_and_what_is_pending() -> None:
    records = [{"versions": {"keras": "3.1", "numpy": "2.0"}}, {"versions": {"keras": "3.2"}}, {}]
    assert artifact.versions_of(records) == {"keras": "3.1, 3.2", "numpy": "2.0"}
