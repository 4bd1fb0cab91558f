"""What is published: the README, metadata, and a wheel from which the demo runs."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import tfqdyn

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_readme_is_short_and_its_two_lines_run_everything() -> None:
    """`.ci/run` runs the lines that make an environment, as they stand there."""
    assert len(README.splitlines()) < 180
    lines = re.findall(r"^python3 -m venv \.venv && .*$", README, re.M)
    last = [line.split(" && ")[-1] for line in lines]
    assert last == [".venv/bin/tfqdyn demo", ".venv/bin/pytest -n 2 --dist loadfile"]


PAGES = ["README.md", *(f"docs/pages/{page.name}" for page in (ROOT / "docs/pages").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.S)
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in link:
            assert ((ROOT / page).parent / link).exists(), link


def test_the_version_is_the_same_everywhere() -> None:
    version = tfqdyn.__version__
    assert f"version = {{{version}}}" in README
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {version}\n" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.slow
def test_the_demo_runs_from_a_wheel(tmp_path: Path) -> None:
    """Built by pip in an environment of its own; run without this repository on the path."""
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", f"--wheel-dir={tmp_path}"]
    source = tmp_path / "source"  # building leaves folders behind
    shutil.copytree(ROOT / "tfqdyn", source / "tfqdyn")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    subprocess.run([*wheel, str(source)], check=True, capture_output=True)
    (built,) = tmp_path.glob("tfqdyn-*.whl")
    with zipfile.ZipFile(built) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "installed")
    for needed in ("py.typed", "report/assets/page.html", "results/results.schema.json"):
        assert f"tfqdyn/{needed}" in names
    assert not [name for name in names if name.startswith(("tests", "experiments", "models"))]
    command = [sys.executable, "-m", "tfqdyn", "demo", "--epochs=1", "--trials=1"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert "Open runs/demo/report.html" in done.stdout
    assert (tmp_path / "runs/demo/report.html").is_file()
