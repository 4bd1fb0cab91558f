"""Puts what was obtained beside what was published: a folder to commit.

Copies every artifact of a scale and seed (rows.csv, figure.svg, figure.png, artifact.json), then
writes, from these copies alone, `README.md` (one page: the verdicts, the networks, the deviations),
`CLAIMS.md` and `claims.csv` (every claim), and a README.md for each group with its artifacts. So a
folder that was published before is judged anew by the rules of today.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.engine.artifact import Artifact, Row, Scope, folder_of, read_rows, to_csv
from experiments.evidence import deviations, pages, verdict_figure
from experiments.evidence.claims import Claim, Rows
from experiments.evidence.verdicts import Verdict, judged_all, row_of
from tfqdyn.files import wholefiles
from tfqdyn.show import figures

FILES = ("rows.csv", "figure.svg", "figure.png", "artifact.json")


def publish(
    groups: Mapping[str, Sequence[Artifact]],
    claims: Sequence[Claim],
    scope: Scope,
    root: Path,
    to: Path,
) -> Sequence[Row]:
    """Copies the artifacts below a workdir into the folder `to`, and writes its pages.

    Returns:
        The claims with their verdicts, a row each.
    """
    for artifacts in groups.values():
        for artifact in artifacts:
            source = folder_of(artifact.name, scope, root)
            if (source / "artifact.json").is_file():
                wholefiles.prepare(to / artifact.name)
                for name in FILES:
                    if (source / name).is_file():
                        wholefiles.write(to / artifact.name / name, (source / name).read_bytes())
    return write(groups, claims, to)


def write(
    groups: Mapping[str, Sequence[Artifact]],
    claims: Sequence[Claim],
    to: Path,
    draw: bool = False,
) -> Sequence[Row]:
    """Judges the rows of a published folder and writes its pages; artifacts not there are named.

    Args:
        groups: of artifacts.
        claims: that are judged.
        to: the folder.
        draw: whether figures are drawn anew, too.

    Raises:
        ValueError: no artifact is there.
    """
    names = [artifact.name for artifacts in groups.values() for artifact in artifacts]
    notes = {name: note for name in names if (note := note_of(to / name)) is not None}
    if not notes:
        raise ValueError(f"{to} holds no published artifact")
    if draw:
        _draw([one for of in groups.values() for one in of if one.name in notes], to)
    verdicts = judged_all(claims, lambda name: rows_in(to / name))
    rows = [row_of(one) for one in verdicts]
    wholefiles.write(to / "claims.csv", to_csv(rows).encode())
    figures.save(verdict_figure.draw(verdicts), to / "verdicts.svg")
    _write(to / "CLAIMS.md", pages.claims_page(verdicts))
    for group, artifacts in groups.items():
        if any((to / artifact.name).is_dir() for artifact in artifacts):
            sections = [_section(one, notes.get(one.name), to, verdicts) for one in artifacts]
            _write(to / group / "README.md", "\n\n".join([f"# {group}", *sections]))
    missing = [name for name in names if name not in notes]
    settings = deviations.settings(next(iter(notes.values()))["scale"])
    _write(to / "README.md", pages.first_page(verdicts, notes, settings, missing))
    return rows


def _draw(artifacts: Sequence[Artifact], to: Path) -> None:
    for artifact in artifacts:
        if artifact.draw is not None:
            figure = artifact.draw(read_rows(to / artifact.name))
            for suffix in ("svg", "png"):
                figures.save(figure, to / artifact.name / f"figure.{suffix}")


def rows_in(folder: Path) -> Rows | None:
    """The rows of an artifact's folder; None where it was not made."""
    return read_rows(folder) if (folder / "rows.csv").is_file() else None


def note_of(folder: Path) -> dict[str, Any] | None:
    """The `artifact.json` of a folder; None where it was not made."""
    path = folder / "artifact.json"
    return json.loads(path.read_text()) if path.is_file() else None


def _section(
    artifact: Artifact, note: Mapping[str, Any] | None, to: Path, verdicts: Sequence[Verdict]
) -> str:
    own = [one for one in verdicts if artifact.name in one.claim.artifacts]
    rows = rows_in(to / artifact.name)
    return pages.section(artifact, note, rows, own)


def _write(path: Path, text: str) -> None:
    wholefiles.write(path, (text + "\n").encode())
