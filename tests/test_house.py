"""The diffs on the page "The house" are true: those that are made stand in the code, others work.

The others are applied to a copy of the package, in which a process of its own tries them.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/pages/house.md").read_text()
MADE = ("An op", "A remedy", "A scheme", "An engine")
TO_MAKE = {
    "A calibrator": """
import subprocess, sys
import numpy as np
from tfqdyn.config import AnalysisConfig
from tfqdyn.numerics.calibrators import Calibrator
from tfqdyn.quantization.calibration import Observer

rule = Calibrator("symmetric")
observer = Observer(2, 1, rule)
observer.add(np.array([[[-3.0, 0.5], [1.0, 2.0]]], np.float32))
site = observer.site_range(rule, 8)
assert (site.low, site.high) == (-3, 3), site
assert (site.channel_low.tolist(), site.channel_high.tolist()) == ([-3, -2], [3, 2]), site
try:
    AnalysisConfig(calibrator="symmetric", percentile=2.0)
except ValueError as error:
    assert "percentile is for calibrators" in str(error)
else:
    raise AssertionError("its percentile is not refused")
help_of_analyze = [sys.executable, "-m", "tfqdyn", "analyze", "--help"]
shown = subprocess.run(help_of_analyze, capture_output=True)
assert b"symmetric" in shown.stdout, shown
""",
    "A metric": """
import sys
import pytest

warnings = ["-o", "filterwarnings=default"]  # which warnings are errors is the outer run's to say
of_metric = ["tests/numerics/test_metrics.py", "-k", "mean_absolute_error"]
sys.exit(pytest.main(["-q", *warnings, *of_metric]))
""",
}


def files_of(title: str) -> dict[str, list[str]]:
    """The lines that a section's diffs add or leave, and where they go, by file."""
    section = re.split(r"^### ", PAGE, flags=re.M)
    (text,) = (part for part in section if part.startswith(f"{title}\n"))
    found: dict[str, list[str]] = {}
    for diff in re.findall(r"```diff\n(.*?)```", text, re.S):
        for line in diff.splitlines():
            if line.startswith(" # "):
                file = line.removeprefix(" # ")
            else:
                found.setdefault(file, []).append(line)
    return found


@pytest.mark.parametrize("title", MADE)
def test_what_is_made_stands_in_the_code(title: str) -> None:
    for file, lines in files_of(title).items():
        code = [line.strip() for line in (ROOT / "tfqdyn" / file).read_text().splitlines()]
        for line in lines:
            if line.startswith("+"):
                assert line[1:].strip() in code, f"{file}: {line}"


def applied(code: str, lines: list[str]) -> str:
    """A module with a diff's definitions, and with the entry that follows `@@ TABLE`."""
    place = lines.index(next(line for line in lines if line.startswith("@@ ")))
    table = lines[place].removeprefix("@@ ")
    added, entry = (
        "\n".join(line[1:] for line in part) for part in (lines[:place], lines[place + 1 :])
    )
    before, start, rest = re.split(rf"^({table}\b.*?{{\n)", code, maxsplit=1, flags=re.M | re.S)
    return f"{before}{added}\n\n\n{start}{entry}\n{rest}"


@pytest.mark.parametrize("title", TO_MAKE)
def test_what_is_not_made_works(title: str, tmp_path: Path) -> None:
    kept = shutil.ignore_patterns("__pycache__")
    for folder in ("tfqdyn", "tests/numerics"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=kept)
    for file in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(ROOT / file, tmp_path / file)
    for file, lines in files_of(title).items():
        path = tmp_path / "tfqdyn" / file
        path.write_text(applied(path.read_text(), lines))
    done = subprocess.run(
        [sys.executable, "-c", TO_MAKE[title]], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
