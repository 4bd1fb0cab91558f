"""A table or figure of the works as a record: what it needs, its rows, its picture.

Three steps, each from the files of the one before: jobs (trainings, analyses) fill the store; rows
are read from finished jobs and saved; the picture is drawn from saved rows. Rows are flat, so that
`rows.csv` holds all there is.
"""

import csv
import io
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from experiments.engine.execution import ordered
from experiments.engine.imagenet import ImageNet
from experiments.engine.networks import Network
from experiments.engine.provenance import commit
from experiments.engine.scales import Scale
from experiments.engine.store import Job, Store, key_of, versions
from tfqdyn.files import wholefiles
from tfqdyn.report import write_report
from tfqdyn.results import plain, read
from tfqdyn.show import figures

Row = Mapping[str, str | int | float | None]
"""One line of `rows.csv`; None is an empty field."""

NOTE = "artifact.json"
"""Comes last: where it is, all other files are, too."""
MOST_RUNS = 64
"""Networks that a report overlays at most."""


@dataclass(frozen=True)
class Scope:
    """What is asked of an artifact.

    Attributes:
        scale: how large.
        seed: of training and calibration; the first one where a network is trained several times.
        imagenet: where the ImageNet networks and photographs are.
    """

    scale: Scale
    seed: int
    imagenet: ImageNet

    def seeds(self, network: Network) -> tuple[int, ...]:
        """The seeds that a network is trained from."""
        return tuple(dict.fromkeys((self.seed, *self.scale.more_seeds.get(network.name, ()))))

    def replicates(self, study: Sequence[Network]) -> tuple[tuple[Network, int], ...]:
        """The networks of a study that are trained, each with each of its seeds."""
        kept = self.scale.networks(study)
        return tuple((network, seed) for network in kept for seed in self.seeds(network))


@dataclass(frozen=True)
class Artifact:
    """One table or figure.

    Attributes:
        name: `group/name`.
        source: the work and its number there.
        title: what it shows.
        jobs: the jobs whose results it reads.
        rows: its rows, from finished jobs.
        draw: its picture, from its rows; None for a table alone.
        columns: columns of the printed table; all by default.
        printed: whether publications print the table, and not only link it.
        published: what the work shows or says there, in words, and where ours departs from it.
    """

    name: str
    source: str
    title: str
    jobs: Callable[[Scope], Sequence[Job]]
    rows: Callable[[Scope, Store], Sequence[Row]]
    draw: Callable[[Sequence[Row]], Figure] | None = None
    columns: tuple[str, ...] | None = None
    printed: bool = True
    published: str = ""

    @property
    def group(self) -> str:
        """The folder it belongs to."""
        return self.name.split("/")[0]


def folder_of(name: str, scope: Scope, root: Path) -> Path:
    """Where an artifact's files lie below a workdir."""
    return root / "artifacts" / f"{scope.scale.name}-seed{scope.seed}" / name


def make(artifact: Artifact, scope: Scope, store: Store) -> Sequence[Row]:
    """Writes an artifact's files from finished jobs.

    `rows.csv`, `figure.svg` and `figure.png`, `artifact.json`, and `report.html` where its jobs
    analyzed networks.

    Returns:
        The rows, as they were written.
    """
    began = time.perf_counter()
    folder = folder_of(artifact.name, scope, store.root)
    wholefiles.prepare(folder, without=(NOTE,))
    wholefiles.write(folder / "rows.csv", to_csv(artifact.rows(scope, store)).encode())
    rows = read_rows(folder)
    if artifact.draw is not None:
        figure = artifact.draw(rows)
        for suffix in ("svg", "png"):
            figures.save(figure, folder / f"figure.{suffix}")
    runs = analyzed(artifact.jobs(scope), store)
    if runs:
        write_report(runs, folder / "report.html", title=f"{artifact.source}: {artifact.title}")
    needed = ordered(artifact.jobs(scope))
    records = {key_of(job): store.record(job) for job in needed if store.done(job)}
    note = {
        "artifact": artifact.name,
        "source": artifact.source,
        "title": artifact.title,
        "command": command(artifact, scope),
        "seed": scope.seed,
        "versions": versions_of(records.values()),
        "scale": plain(scope.scale),
        "pending": len(needed) - len(records),
        "jobs": {
            key: {"seconds": record.get("seconds"), "commit": record.get("commit")}
            for key, record in records.items()
        },
        "drawn": {"commit": commit(), "versions": versions()},
        "seconds": {
            "jobs": round(sum(record.get("seconds") or 0 for record in records.values()), 1),
            "drawing": round(time.perf_counter() - began, 1),
        },
    }
    wholefiles.write(folder / NOTE, json.dumps(note, indent=1).encode())
    return rows


def versions_of(records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The versions that jobs were done with, several of a package side by side."""
    found: dict[str, list[str]] = {}
    for record in records:
        for name, version in record.get("versions", {}).items():
            found.setdefault(name, []).append(version)
    return {name: ", ".join(dict.fromkeys(of)) for name, of in found.items()}


def analyzed(jobs: Sequence[Job], store: Store) -> dict[str, Any]:
    """The results that finished jobs wrote, by their labels, or by keys where labels agree.

    None of them where there are more than `MOST_RUNS`, which nobody can tell apart on a page.
    """
    found = [job for job in jobs if (store.folder(job) / "results.json").is_file()]
    if len(found) > MOST_RUNS:
        return {}
    labels = [job.label for job in found]
    names = [
        job.label if labels.count(job.label) == 1 else key_of(job).split("/")[1] for job in found
    ]
    return {name: read(store.folder(job)) for name, job in zip(names, found, strict=True)}


def first_seed(rows: Sequence[Row]) -> list[Row]:
    """The rows of the first training seed, all where rows do not say theirs."""
    return [row for row in rows if row.get("seed") == rows[0].get("seed")]


def command(artifact: Artifact, scope: Scope) -> str:
    """The command line that makes an artifact; of files that were named, the names alone."""
    named = {
        "imagenet_data": scope.imagenet.data,
        "mobilenet_v1": scope.imagenet.mobilenet_v1,
        "vgg19": scope.imagenet.vgg19,
    }
    files = [f"--{flag}={Path(path).name}" for flag, path in named.items() if path]
    return " ".join(
        (
            "python -m experiments.run",
            f"--artifact={artifact.name} --scale={scope.scale.name} --seed={scope.seed}",
            *files,
        )
    )


def to_csv(rows: Sequence[Row]) -> str:
    """Rows as CSV; columns in the order of their first appearance.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("an artifact needs at least one row, received none")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of an artifact's folder: numbers as numbers, empty fields as None.

    Raises:
        FileNotFoundError: the artifact was not made.
    """
    with (folder / "rows.csv").open(newline="") as stream:
        return [
            {column: _value(text) for column, text in row.items()} for row in csv.DictReader(stream)
        ]


def _value(text: str) -> str | int | float | None:
    if text == "":
        return None
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
