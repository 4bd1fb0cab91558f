"""Puts what was obtained beside what was published: a folder to commit.

Copies every artifact of a scale and seed (rows.csv, figure.svg, figure.png, artifact.json) into
`DIR/SCALE`, where rows of networks that this run has not done stay (`carried`), and writes from
these copies alone: for each scale a README.md for each group with its artifacts, `CLAIMS.md` and
`claims.csv`; for all scales together `README.md` (one page: verdicts, networks, deviations),
`CLAIMS.md`, `claims.csv` and `verdicts.svg`, every claim by the largest scale that decides it. So a
folder that was published before is judged anew by the rules of today.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.engine.artifact import Artifact, Row, Scope, folder_of, read_rows, to_csv
from experiments.engine.scales import SCALES
from experiments.evidence import carried, pages, verdict_figure
from experiments.evidence.claims import Claim, Rows
from experiments.evidence.outcomes import PENDING
from experiments.evidence.verdicts import Verdict, combined, judged_all, row_of
from tfqdyn.files import wholefiles
from tfqdyn.show import figures

Groups = Mapping[str, Sequence[Artifact]]
FILES = ("rows.csv", "figure.svg", "figure.png", "artifact.json")


def publish(
    groups: Groups, claims: Sequence[Claim], scope: Scope, root: Path, to: Path
) -> Sequence[Row]:
    """Copies the artifacts below a workdir into `to`/SCALE, and writes the pages of `to`.

    Returns:
        The claims with their verdicts, one row each.
    """
    for artifacts in groups.values():
        for artifact in artifacts:
            source = folder_of(artifact.name, scope, root)
            if (source / "artifact.json").is_file():
                _copy(artifact, scope, source, to / scope.scale.name / artifact.name)
    return write(groups, claims, to)


def _copy(artifact: Artifact, scope: Scope, source: Path, to: Path) -> None:
    """An artifact's files; with the published rows of networks that this run has not done."""
    new, note = read_rows(source), note_of(source) or {}
    kept = carried.Carried(tuple(new), ())
    if note.get("pending") and (old := rows_in(to)) is not None:
        kept = carried.carried(new, old, carried.digests(artifact, scope))
        if not kept.kept and not any("network" in row for row in new):
            return  # of all networks together: what was published is of more of them
    wholefiles.prepare(to)
    for name in FILES:
        if (source / name).is_file():
            wholefiles.write(to / name, (source / name).read_bytes())
    if kept.kept:
        wholefiles.write(to / "rows.csv", to_csv(kept.rows).encode())
        note["kept"] = list(kept.kept)
        wholefiles.write(to / "artifact.json", json.dumps(note, indent=1).encode())
        _draw([artifact], to.parents[1])


def write(groups: Groups, claims: Sequence[Claim], to: Path, draw: bool = False) -> Sequence[Row]:
    """Judges the rows of a published folder and writes its pages; artifacts not there are named.

    Args:
        groups: of artifacts.
        claims: that are judged.
        to: the folder, with a folder for each scale.
        draw: whether figures are drawn anew, too.

    Raises:
        ValueError: no artifact is there.
    """
    names = [artifact.name for artifacts in groups.values() for artifact in artifacts]
    notes = {scale: _notes(names, to / scale) for scale in reversed(list(SCALES))}
    notes = {scale: of for scale, of in notes.items() if of}
    if not notes:
        raise ValueError(f"{to} holds no published artifact below {', '.join(SCALES)}")
    judged = {
        scale: _write_scale(groups, claims, to / scale, of, draw) for scale, of in notes.items()
    }
    chosen = combined(judged)
    rows = [{**row_of(one), "scale": scale} for scale, one in chosen]
    verdicts = [one for _, one in chosen]
    wholefiles.write(to / "claims.csv", to_csv(rows).encode())
    figures.save(verdict_figure.draw(verdicts), to / "verdicts.svg")
    _write(to / "CLAIMS.md", pages.claims_page(chosen))
    waiting = {scale: _waiting(of, to / scale) for scale, of in notes.items()}
    _write(to / "README.md", pages.first_page(chosen, notes, waiting, names))
    return rows


def _write_scale(
    groups: Groups,
    claims: Sequence[Claim],
    to: Path,
    notes: Mapping[str, Mapping[str, Any]],
    draw: bool,
) -> list[Verdict]:
    """The pages of one scale."""
    if draw:
        _draw([one for of in groups.values() for one in of if one.name in notes], to)
    verdicts = judged_all(claims, lambda name: rows_in(to / name))
    wholefiles.write(to / "claims.csv", to_csv([row_of(one) for one in verdicts]).encode())
    _write(to / "CLAIMS.md", pages.claims_page([(to.name, one) for one in verdicts]))
    for group, artifacts in groups.items():
        if any(artifact.name in notes for artifact in artifacts):
            sections = [_section(one, notes.get(one.name), to, verdicts) for one in artifacts]
            heading = f"# {group}, scale `{to.name}`"
            _write(to / group / "README.md", "\n\n".join([heading, *sections]))
    return verdicts


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


def _notes(names: Sequence[str], to: Path) -> dict[str, dict[str, Any]]:
    """The notes of the artifacts that a scale's folder has."""
    return {name: note for name in names if (note := note_of(to / name)) is not None}


def _waiting(names: Mapping[str, Any], to: Path) -> dict[str, list[str]]:
    """The networks of a scale's tables that are not trained and analyzed yet, by artifact."""
    found = {
        name: [str(row["network"]) for row in rows_in(to / name) or () if _waits(row)]
        for name in names
    }
    return {name: list(dict.fromkeys(networks)) for name, networks in found.items() if networks}


def _waits(row: Mapping[str, Any]) -> bool:
    return row.get("status") == PENDING and not row.get("seed")


def _section(
    artifact: Artifact, note: Mapping[str, Any] | None, to: Path, verdicts: Sequence[Verdict]
) -> str:
    own = [one for one in verdicts if artifact.name in one.claim.artifacts]
    rows = rows_in(to / artifact.name)
    return pages.section(artifact, note, rows, own)


def _write(path: Path, text: str) -> None:
    wholefiles.write(path, (text + "\n").encode())
