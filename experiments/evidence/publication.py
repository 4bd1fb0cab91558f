"""Puts what was obtained beside what was published: a folder to commit, with a README.

Copies every artifact of a scale and seed (rows.csv, figure.svg, figure.png, artifact.json) and
writes README.md: the verdict of every claim, the tables with the published figures beside ours,
the figures, and what the scale cannot show.
"""

import collections
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.engine.artifact import Artifact, Row, Scope, command, folder_of, read_rows, to_csv
from experiments.engine.listing import cell
from experiments.engine.scales import Scale
from experiments.engine.store import versions
from experiments.evidence.claims import Claim, Rows
from experiments.evidence.effects import Estimate, Missing
from experiments.evidence.verdicts import VERDICTS, WORKS, Verdict, judged_all, row_of
from tfqdyn.files import wholefiles

FILES = ("rows.csv", "figure.svg", "figure.png", "artifact.json")

LIMITS = {
    "smoke": "Tiny networks on digits: this shows that everything runs, nothing about the claims.",
    "reduced": (
        "Networks of half (ResNet-34: a quarter) of the works' width, trained for 800 to 1,280 "
        "steps on a part of CIFAR-10, one seed each. Accuracies are far below the published ones "
        "and known to 2 points (1,000 test images; 500 for the thesis' networks), and 8 bits take "
        "little or nothing from networks that have learned so little: claims about losses of "
        "accuracy are then not decided (percent accuracy decrease is an absolute value, as in the "
        "works). Verdicts are about these networks. The ImageNet artifacts are at full size: the "
        "real MobileNet-V1 on 600 photographs of 600 classes, which are easier than ImageNet's "
        "validation set by their fp32 accuracy."
    ),
    "long": (
        "Networks of half (ResNet-34: a quarter) of the works' width, trained for a sixth of the "
        "works' steps on 45,000 images of CIFAR-10 and scored on 6,000 others."
    ),
    "paper": "The published recipes; one seed trains each network, as in the works.",
}
"""What each scale cannot show."""


def publish(
    groups: Mapping[str, Sequence[Artifact]],
    claims: Sequence[Claim],
    scope: Scope,
    root: Path,
    to: Path,
) -> Sequence[Row]:
    """Writes the folder `to` from the artifacts below a workdir; those not made are named.

    Returns:
        The claims with their verdicts, a row each.
    """
    wholefiles.prepare(to)
    verdicts = judged_all(claims, lambda name: rows_in(folder_of(name, scope, root)))
    rows = [row_of(one) for one in verdicts]
    wholefiles.write(to / "claims.csv", to_csv(rows).encode())
    sections = [_heading(scope), *_claims(verdicts)]
    for group, artifacts in groups.items():
        sections.append(f"## {group}")
        for artifact in artifacts:
            source = folder_of(artifact.name, scope, root)
            if not (source / "artifact.json").is_file():
                sections.append(f"### {artifact.source}: {artifact.title}\n\nNot made.")
                continue
            copied = to / artifact.name
            wholefiles.prepare(copied)
            for name in FILES:
                if (source / name).is_file():
                    wholefiles.write(copied / name, (source / name).read_bytes())
            sections.append(_section(artifact, scope, copied))
    wholefiles.write(to / "README.md", ("\n\n".join(sections) + "\n").encode())
    return rows


def rows_in(folder: Path) -> Rows | None:
    """The rows of an artifact's folder; None where it was not made."""
    return read_rows(folder) if (folder / "rows.csv").is_file() else None


def _heading(scope: Scope) -> str:
    found = ", ".join(f"{name} {version}" for name, version in versions().items())
    return (
        f"# Published against obtained\n\nScale `{scope.scale.name}`, seed {scope.seed}; {found}. "
        f"Written by\n`python -m experiments.run --artifact=all --scale={scope.scale.name} "
        f"--seed={scope.seed} --publish=experiments/results`;\neach artifact's folder holds its "
        "rows, figure, config, versions and wall time.\n\n"
        f"**What this scale cannot show.** {LIMITS[scope.scale.name]}\n\n{sizes(scope.scale)}"
    )


def sizes(scale: Scale) -> str:
    """A scale in numbers, as a Markdown table."""
    lines = ["| recipe | images | epochs | batch | learning rate | calibration | draws |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name, schedule in scale.schedules.items():
        analysis = scale.analyses[name]
        own = [_or(getattr(schedule, field)) for field in _SIZES]
        lines.append(
            f"| {name} | {' | '.join(own)} | {analysis.calibration_size} | {analysis.trials} |"
        )
    return "\n".join(lines)


_SIZES = ("images", "epochs", "batch_size", "learning_rate")


def _or(value: Any) -> str:
    if value is None:
        return "published"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _claims(verdicts: Sequence[Verdict]) -> list[str]:
    """The claims, a table a work."""
    sections = ["## Claims", RULES]
    for work, title in WORKS.items():
        own = [one for one in verdicts if one.claim.work == work]
        if own:
            counts = collections.Counter(one.verdict for one in own)
            told = ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name])
            table = markdown([claim_row(one) for one in own], CLAIM_COLUMNS)
            sections.append(f"### {title}\n\n{len(own)} claims: {told}.\n\n{table}")
    return sections


RULES = """Effects are above 0 as claimed. **holds**: the 95 % interval is above 0 and, for claims \
with a control, so is that of the excess over the same networks before training. **does not \
hold**: it excludes an effect of the claimed size (the work's, or *the smallest of interest*). \
**true before training**: the effect is in the untrained networks, and training adds none that \
can be told. **not decided**: none of these; what would decide it is said. `p` is one-sided, \
`Holm` its correction among the work's tested claims; verdicts go by intervals, of which one in \
forty lies above 0 by chance where there is nothing."""
CLAIM_COLUMNS = (
    "claim", "verdict", "effect", "claimed", "before_training", "p", "Holm", "source", "note",
)  # fmt: skip


def claim_row(one: Verdict) -> Row:
    """A claim as a line of its work's table."""
    claim, effect = one.claim, one.effect
    missing = isinstance(effect, Missing)
    size = f"{claim.claimed:.3g}" if claim.published else f"*{claim.claimed:.3g}*"
    wanted = f"to decide: {one.wanted}" if one.wanted else ""
    return {
        "claim": claim.statement,
        "verdict": f"**{one.verdict}**",
        "effect": None if missing else f"{effect} ({claim.unit})",
        "claimed": size,
        "before_training": str(one.control) if isinstance(one.control, Estimate) else None,
        "p": None if one.p is None else f"{one.p:.2g}",
        "Holm": None if one.holm is None else f"{one.holm:.2g}",
        "source": claim.source,
        "note": "; ".join(filter(None, (effect.reason if missing else wanted, one.note))),
    }


def _section(artifact: Artifact, scope: Scope, folder: Path) -> str:
    parts = [
        f"### {artifact.source}: {artifact.title}",
        f"`{command(artifact, scope)}` · [rows]({artifact.name}/rows.csv)",
    ]
    if artifact.draw is not None:
        parts.append(f"![{artifact.title}]({artifact.name}/figure.svg)")
    if artifact.printed and (artifact.draw is None or artifact.columns is not None):
        rows = read_rows(folder)
        columns = artifact.columns or tuple(dict.fromkeys(name for row in rows for name in row))
        parts.append(markdown(rows, columns))
    return "\n\n".join(parts)


def markdown(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Rows as a Markdown table."""
    lines = [
        "| " + " | ".join(column.replace("_", " ") for column in columns) + " |",
        "|" + "---|" * len(columns),
    ]
    for row in rows:
        cells = (cell(row, column).replace("|", "\\|").replace("\n", " ") for column in columns)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
