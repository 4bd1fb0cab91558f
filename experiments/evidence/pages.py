"""The text of a published folder's pages, as Markdown."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.engine.artifact import Artifact, Row
from experiments.engine.listing import cell
from experiments.evidence import deviations
from experiments.evidence.claims import Rows
from experiments.evidence.effects import Estimate, Missing
from experiments.evidence.verdicts import UNTESTED, VERDICTS, WORKS, Verdict

HEADLINES = (
    "mobilenets/depthwise_lose_more",
    "weight_init/depthwise_lose_more",
    "mobilenets/depthwise_qkl_div",
    "mobilenets/precision_dips",
    "mobilenets/range_peaks",
    "mobilenets/imagenet_collapse",
    "weight_init/batch_norm_costs_depthwise_more",
    "weight_init/initialization_decides",
    "weight_init/smaller_weights_more_robust",
    "weight_init/precise_weights_more_robust",
    "weight_init/loss_grows_over_training",
    "factorizenet/regular_most_robust",
    "quantization_friendly/zero_variance",
    "quantization_friendly/depthwise_batch_norm",
)
"""Claims that the first page prints: what each work is about."""
RULES = """Effects are above 0 as claimed. **holds**: the 95 % interval is above 0 and, for claims \
with a control, so is that of the excess over the same networks before training. **does not \
hold**: it excludes an effect of the claimed size (the work's, or *the smallest of interest*). \
**true before training**: the effect is in the untrained networks, and training adds none that \
can be told. **not decided**: none of these; what would decide it is said. **not tested**: rows \
are missing. `p` is one-sided, `Holm` its correction among the work's tested claims; verdicts go \
by intervals, of which one in forty lies above 0 by chance where there is nothing."""
MOST_LINES = 60
"""Rows of a table that a page prints."""


def first_page(
    chosen: Sequence[tuple[str, Verdict]],
    notes: Mapping[str, Mapping[str, Mapping[str, Any]]],
    waiting: Mapping[str, Mapping[str, Sequence[str]]],
    names: Sequence[str],
) -> str:
    """What was reproduced and what was not, with which networks, and how far from the works.

    Args:
        chosen: all claims' verdicts, each with the scale that it is of.
        notes: `artifact.json` by scale and name of the artifacts that are there.
        waiting: networks that are not done yet, by scale and artifact.
        names: of all artifacts.
    """
    verdicts = [one for _, one in chosen]
    counts = [
        {"work": title}
        | {name: sum(one.verdict == name for one in verdicts if one.claim.work == work)
           for name in VERDICTS}
        for work, title in WORKS.items()
    ]  # fmt: skip
    by_name = {one.claim.name: (scale, one) for scale, one in chosen}
    headlines = [headline(*by_name[name]) for name in HEADLINES if name in by_name]
    settings = [
        {"scale": scale, **row}
        for scale, of in notes.items()
        for row in deviations.settings(next(iter(of.values()))["scale"])
    ]
    missing = [name for name in names if not any(name in of for of in notes.values())]
    parts = [
        "# The three works, reproduced",
        "\n".join(f"- {_of_scale(scale, of)}" for scale, of in notes.items()),
        "## What was reproduced",
        markdown(counts, ("work", *VERDICTS)),
        "![Effects of all tested claims](verdicts.svg)",
        "Each line is a claim's effect with its 95 % interval, as a share of the claimed size: 0 "
        "is nothing, 1 as large as claimed. A claim is judged at the largest scale that decides "
        "it, else at the largest that tests it. All claims, with their rules' effects, are in "
        "[CLAIMS.md](CLAIMS.md); what each work is about:",
        markdown(headlines, ("claim", "verdict", "scale", "effect", "claimed", "to_decide")),
        "## With which networks",
        markdown(settings, tuple(dict.fromkeys(name for row in settings for name in row))),
        *_not_yet(waiting),
        "## Where this departs from the works",
        markdown(deviations.DEVIATIONS, ("what", "the_works", "here")),
        "## Tables and figures",
        "\n".join(
            f"- [{group}, scale `{scale}`]({scale}/{group}/README.md)"
            for scale, of in notes.items()
            for group in _groups(of)
        ),
    ]
    if missing:
        parts.append(f"Made at no scale: {', '.join(f'`{name}`' for name in missing)}.")
    return "\n\n".join(parts)


def _of_scale(scale: str, notes: Mapping[str, Mapping[str, Any]]) -> str:
    """How the artifacts of a scale were made, and what it cannot show."""
    command = max((str(one["command"]) for one in notes.values()), key=len)
    command = command.replace(f"--artifact={_named(command)}", "--artifact=all")
    return (
        f"**Scale `{scale}`**, {len(notes)} artifacts; made by `{command}`. "
        f"{deviations.LIMITS[scale]} {provenance(notes)}"
    )


def _not_yet(waiting: Mapping[str, Mapping[str, Sequence[str]]]) -> list[str]:
    """What is not trained yet."""
    lines = [
        f"- `{name}` at `{scale}`: {', '.join(networks)}"
        for scale, of in waiting.items()
        for name, networks in of.items()
    ]
    return ["## What is not trained yet", "\n".join(lines)] if lines else []


def provenance(notes: Mapping[str, Mapping[str, Any]]) -> str:
    """Which rows say where they come from; those made before rows did, by name of their number."""
    old = sum("drawn" not in note for note in notes.values())
    told = (
        "Rows carry scale, seed, steps and digests of images, network and code; `artifact.json` "
        "the versions and commits of the jobs. "
    )
    if not old:
        return told
    which = "All" if old == len(notes) else f"{old} of {len(notes)} artifacts are older: their"
    return (
        f"{told if old < len(notes) else ''}{which} rows were made before rows carried seeds, "
        "digests and signed losses; the rules that judge them here were written after them."
    )


def headline(scale: str, one: Verdict) -> Row:
    """A claim in short, judged at a scale."""
    return {
        "claim": one.claim.statement,
        "verdict": f"**{one.verdict}**",
        "scale": None if one.verdict == UNTESTED else scale,
        "effect": effect_of(one),
        "claimed": claimed_of(one),
        "to_decide": why(one),
    }


def claims_page(chosen: Sequence[tuple[str, Verdict]]) -> str:
    """All claims, one table for each work.

    Args:
        chosen: verdicts, each with the scale that it is of.
    """
    sections = ["# Claims", RULES]
    columns = (
        "claim", "verdict", "scale", "effect", "claimed", "before_training", "p", "Holm", "source",
        "note",
    )  # fmt: skip
    for work, title in WORKS.items():
        own = [(scale, one) for scale, one in chosen if one.claim.work == work]
        if own:
            counts = collections.Counter(one.verdict for _, one in own)
            told = ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name])
            table = markdown([claim_row(scale, one) for scale, one in own], columns)
            sections.append(f"## {title}\n\n{len(own)} claims: {told}.\n\n{table}")
    return "\n\n".join(sections)


def claim_row(scale: str, one: Verdict) -> Row:
    """A claim, judged at a scale, as a line of its work's table."""
    before = one.control
    return {
        "claim": one.claim.statement,
        "verdict": f"**{one.verdict}**",
        "scale": None if one.verdict == UNTESTED else scale,
        "effect": effect_of(one),
        "claimed": claimed_of(one),
        "before_training": str(before) if isinstance(before, Estimate) else None,
        "p": None if one.p is None else f"{one.p:.2g}",
        "Holm": None if one.holm is None else f"{one.holm:.2g}",
        "source": one.claim.source,
        "note": "; ".join(filter(None, (why(one), one.note))),
    }


def effect_of(one: Verdict) -> str | None:
    """The effect with its unit; None where there is none."""
    return None if isinstance(one.effect, Missing) else f"{one.effect} ({one.claim.unit})"


def claimed_of(one: Verdict) -> str:
    """The claimed size; the smallest of interest in italics."""
    size = f"{one.claim.claimed:.3g}"
    return size if one.claim.published else f"*{size}*"


def why(one: Verdict) -> str:
    """Why it was not tested, or what would decide it."""
    if isinstance(one.effect, Missing):
        return one.effect.reason
    return f"to decide: {one.wanted}" if one.wanted else ""


def section(
    artifact: Artifact,
    note: Mapping[str, Any] | None,
    rows: Rows | None,
    verdicts: Sequence[Verdict],
) -> str:
    """An artifact: what the work says of it and what we see, its figure, its table."""
    heading = f"## {artifact.source}: {artifact.title}"
    if note is None or rows is None:
        return f"{heading}\n\nNot made."
    folder = artifact.name.split("/")[1]
    parts = [heading, f"`{note['command']}` · [rows]({folder}/rows.csv)"]
    if note.get("pending"):
        parts.append(f"{note['pending']} of its jobs were not done in its last run.")
    if note.get("kept"):
        parts.append(f"Rows of earlier runs: {', '.join(note['kept'])}.")
    if artifact.published:
        parts.append(f"Published: {artifact.published}")
    told = [one for one in verdicts if one.verdict != UNTESTED]
    if told:
        lines = (
            f"- The work says: {one.claim.statement} We see: **{one.verdict}**, {effect_of(one)}."
            for one in told
        )
        parts.append("\n".join(lines))
    if artifact.draw is not None:
        parts.append(f"![{artifact.title}]({folder}/figure.svg)")
    if artifact.printed and (artifact.draw is None or artifact.columns is not None):
        columns = artifact.columns or tuple(dict.fromkeys(name for row in rows for name in row))
        parts.append(markdown(rows[:MOST_LINES], columns))
        if len(rows) > MOST_LINES:
            parts.append(f"{len(rows) - MOST_LINES} more rows in the file.")
    return "\n\n".join(parts)


def markdown(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows as a Markdown table."""
    lines = [
        "| " + " | ".join(column.replace("_", " ") for column in columns) + " |",
        "|" + "---|" * len(columns),
    ]
    for row in rows:
        cells = (cell(row, column).replace("|", "\\|").replace("\n", " ") for column in columns)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _named(command: str) -> str:
    return next(word for word in command.split() if word.startswith("--artifact=")).split("=")[1]


def _groups(notes: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name.split("/")[0] for name in notes))
