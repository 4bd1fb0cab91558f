"""Every notebook runs with the package alone, and is kept with its outputs."""

import ast
import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import tfqdyn

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIGURES = {
    "01_quickstart": 2,
    "02_mobilenet_collapse_and_cure": 2,
    "03_training_dynamics": 6,
    "04_factorization": 1,
}
TELL = {
    "01_quickstart": "in fp32",
    "02_mobilenet_collapse_and_cure": "Dead channels stretch the weights' range (4 channels in 4",
    "03_training_dynamics": "finished",
    "04_factorization": "615,040",
}
"""What the text outputs of each say."""
MACHINE = re.compile(r"/(?:tmp|work|root|home|Users|usr)/|[A-Z]:\\")


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def outputs_of(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def texts_of(outputs: list[Any]) -> str:
    found = [o.get("text", "") + o.get("data", {}).get("text/plain", "") for o in outputs]
    return "\n".join(found)


def check_outputs(stem: str, outputs: list[Any]) -> None:
    """That pictures and figures are there, and no noise."""
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert sum("image/png" in output.get("data", {}) for output in outputs) == FIGURES[stem]
    assert TELL[stem] in texts_of(outputs)


def test_there_are_four() -> None:
    assert [path.stem for path in NOTEBOOKS] == list(FIGURES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_kept_with_outputs_of_no_machine(path: Path) -> None:
    """Run once from top to bottom; what is kept names no folder of the machine that ran it."""
    notebook = read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    check_outputs(path.stem, outputs_of(notebook))
    assert not MACHINE.search(texts_of(outputs_of(notebook)))
    assert path.stat().st_size < 500_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_needs_the_package_alone(path: Path) -> None:
    cells = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    tree = ast.parse("\n".join(re.sub(r"^%.*$", "", source, flags=re.M) for source in cells))
    named = [n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names]
    named += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    packages = {name.split(".")[0] for name in named}
    assert packages <= {"tfqdyn", "keras", "pathlib", "dataclasses"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of its own, where it trains its networks anew."""
    installed = tmp_path / "installed"
    installed.mkdir()
    (installed / "tfqdyn").symlink_to(Path(tfqdyn.__file__).parent)
    search = os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", search)
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = read(path)
    folder = tmp_path / "run"
    folder.mkdir()
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    check_outputs(path.stem, outputs_of(notebook))
    assert path.stem.startswith("04") or (folder / "runs").is_dir()
