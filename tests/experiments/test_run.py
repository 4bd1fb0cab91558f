"""Every artifact at its smoke size through the command: all files there, nothing computed twice."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments import catalogue
from experiments.evidence import publication
from experiments.evidence.effects import Estimate
from experiments.evidence.verdicts import HOLDS, judged_all

ROOT = Path(__file__).parents[2]
MOST_SECONDS = 900
"""What the whole smoke run may take; on two busy cores it took 320 to 500."""


def command(workdir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "TFQDYN_DATA_DIR"}
    return subprocess.run(
        [sys.executable, "-m", "experiments.run", f"--workdir={workdir}", *arguments],
        cwd=ROOT,
        env=environment,
        text=True,
        capture_output=True,
        timeout=3 * MOST_SECONDS,
    )


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, float]:
    """(workdir, published folder, seconds) of all artifacts at smoke scale."""
    workdir = tmp_path_factory.mktemp("smoke")
    began = time.perf_counter()
    done = command(workdir, "--artifact=all", "--scale=smoke", f"--publish={workdir / 'results'}")
    assert done.returncode == 0, done.stdout + done.stderr
    return workdir, workdir / "results", time.perf_counter() - began


@pytest.mark.parametrize("name", catalogue.ARTIFACTS)
def test_every_artifact_is_made(smoke: tuple[Path, Path, float], name: str) -> None:
    folder = smoke[0] / "artifacts" / "smoke-seed0" / name
    rows = (folder / "rows.csv").read_text().splitlines()
    assert len(rows) > 1
    assert len(set(rows[0].split(","))) == len(rows[0].split(","))
    note = json.loads((folder / "artifact.json").read_text())
    assert note["artifact"] == name
    assert note["seed"] == 0
    assert note["drawn"]["versions"]["keras"]
    assert ("keras" in note["versions"]) == bool(note["jobs"])
    assert note["scale"]["name"] == "smoke"
    assert note["seconds"]["drawing"] >= 0
    if catalogue.ARTIFACTS[name].draw is not None:
        assert (folder / "figure.svg").read_text().lstrip().startswith("<?xml")
        assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_artifacts_bring_a_report_of_their_networks(smoke: tuple[Path, Path, float]) -> None:
    folder = smoke[0] / "artifacts" / "smoke-seed0"
    for name in ("mobilenets/table_1", "weight_init/table_4_3", "quantization_friendly/sqnr"):
        assert "vega" in (folder / name / "report.html").read_text()
    assert not (folder / "weight_init" / "figure_4_6" / "report.html").exists()  # trainings alone


def test_published_results_name_every_artifact_and_claim(smoke: tuple[Path, Path, float]) -> None:
    for group, artifacts in catalogue.GROUPS.items():
        text = (smoke[1] / "smoke" / group / "README.md").read_text()
        for artifact in artifacts:
            assert f"## {artifact.source}: {artifact.title}" in text
            assert artifact.published in text
            assert (smoke[1] / "smoke" / artifact.name / "rows.csv").is_file()
        assert "Not made." not in text
    assert "Made at no scale" not in (smoke[1] / "README.md").read_text()
    claims = (smoke[1] / "claims.csv").read_text()
    assert all(claim.name in claims for claim in catalogue.CLAIMS)


def test_untrained_networks_hold_no_claim(smoke: tuple[Path, Path, float]) -> None:
    rows = {name: publication.rows_in(smoke[1] / "smoke" / name) for name in catalogue.ARTIFACTS}
    claims = [claim for claim in catalogue.CLAIMS if claim.controls]
    begun = dict(rows)
    for claim in claims:
        begun |= {name: rows[control] for name, control in claim.controls.items()}
    verdicts = judged_all(claims, begun.get)
    assert not [one.claim.name for one in verdicts if one.verdict == HOLDS]
    assert any(isinstance(one.effect, Estimate) for one in verdicts)


def test_published_rows_are_judged_anew_without_a_workdir(
    smoke: tuple[Path, Path, float], tmp_path: Path
) -> None:
    again = tmp_path / "results"
    shutil.copytree(smoke[1], again)
    (again / "claims.csv").unlink()
    done = command(tmp_path / "none", f"--judge={again}")
    assert done.returncode == 0, done.stderr
    assert (again / "claims.csv").read_text() == (smoke[1] / "claims.csv").read_text()
    assert (again / "README.md").read_text() == (smoke[1] / "README.md").read_text()
    refused = command(tmp_path / "none", f"--judge={tmp_path / 'nothing'}")
    assert refused.returncode == 1
    assert "holds no published artifact" in refused.stderr


def test_a_second_run_computes_nothing(smoke: tuple[Path, Path, float]) -> None:
    folders = [smoke[0] / "trainings", smoke[0] / "analyses"]
    before = {path: path.stat().st_mtime_ns for f in folders for path in f.rglob("done.json")}
    assert before
    again = command(smoke[0], "--artifact=mobilenets/table_1", "--scale=smoke")
    assert again.returncode == 0, again.stderr
    assert "trainings/" not in again.stderr
    assert "analyses/" not in again.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_whole_smoke_run_is_quick(smoke: tuple[Path, Path, float]) -> None:
    assert smoke[2] < MOST_SECONDS


def test_an_unknown_artifact_is_refused_with_the_choices(tmp_path: Path) -> None:
    refused = command(tmp_path, "--artifact=mobilenets/table_9")
    assert refused.returncode != 0
    assert "mobilenets/table_9" in refused.stderr
    assert "mobilenets/table_1" in refused.stderr
    assert not (tmp_path / "trainings").exists()
