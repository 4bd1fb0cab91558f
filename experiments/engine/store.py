"""Where results lie: one folder a job, named by what the job is, finished once and for all.

A job is a frozen record of everything that decides its result, and knows which code does, so its
key (a digest of both) names the result: two artifacts that need the same network find the same
folder, a second run computes nothing, and a run that was killed goes on with the first job that is
not done. Images, networks and code enter a key by their digests: what is changed under an old name
is computed anew.
"""

import dataclasses
import hashlib
import json
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import tfqdyn
from experiments.engine.provenance import commit
from tfqdyn.distributed.cluster import packages
from tfqdyn.files import wholefiles
from tfqdyn.results import plain

DONE = "done.json"
DIGITS = 12


@runtime_checkable
class Job(Protocol):
    """One piece of work: a frozen dataclass whose fields decide the result.

    Attributes:
        KIND: name of the kind of work, the first folder of the result.
        cpus: processor cores that the work uses.
        gpus: accelerators that it uses where there are some, a fraction allowed.
    """

    KIND: ClassVar[str]
    cpus: ClassVar[float]
    gpus: ClassVar[float]

    @property
    def label(self) -> str:
        """What the work is called in messages and in folder names."""
        ...

    @property
    def needs(self) -> tuple["Job", ...]:
        """Jobs whose results this one reads."""
        ...

    @property
    def code(self) -> str:
        """The code that decides the result: a digest (`provenance.code_of`), or a generation.

        Code of one generation comes to the same results, as a test says with figures; long work
        goes by generations, so that it is not done again because code was written anew.
        """
        ...

    def run(self, folder: Path, store: "Store") -> Mapping[str, Any]:
        """Does the work: files into the folder, what it came to (JSON) as the result.

        A folder may hold what an interrupted run left; the work goes on from there.
        """
        ...


@runtime_checkable
class Contents(Protocol):
    """A field of a job that is known by what it holds and not by its name."""

    def digest(self) -> str:
        """SHA-256 of what it holds."""
        ...


def key_of(job: Job) -> str:
    """The job's folder below the store: kind, label, and a digest of record and code."""
    record = json.dumps([job.KIND, described(job), job.code], sort_keys=True)
    digest = hashlib.sha256(record.encode()).hexdigest()[:DIGITS]
    return f"{job.KIND}/{job.label}-{digest}"


def described(job: Job) -> dict[str, Any]:
    """The job's fields as JSON; a job among them by its key, whatever it is called, and `Contents`
    by their digests.

    Fields that do not take part in comparison (`field(compare=False)`) are left out: where files
    lie decides nothing. So are those that say nothing (None): a record that learns to say more
    keeps the keys of what it said before.
    """

    def record(value: Any) -> dict[str, Any]:
        named = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.compare}
        return {name: entry(item) for name, item in named.items() if item is not None}

    def entry(value: Any) -> Any:
        if isinstance(value, Job):
            return key_of(value).rsplit("-", 1)[1]
        if isinstance(value, Contents):
            return value.digest()
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return record(value)
        if isinstance(value, Mapping):
            return {str(name): entry(item) for name, item in value.items()}
        if isinstance(value, tuple | list):
            return [entry(item) for item in value]
        return plain(value)

    return record(job)


@dataclasses.dataclass(frozen=True)
class Store:
    """The finished and the begun work below one folder."""

    root: Path

    def folder(self, job: Job) -> Path:
        """Where the job's files lie, or will."""
        return self.root / key_of(job)

    def done(self, job: Job) -> bool:
        """Whether the job is finished."""
        return (self.folder(job) / DONE).is_file()

    def record(self, job: Job) -> dict[str, Any]:
        """What a finished job wrote down: job, result, code, commit, versions, seconds.

        Raises:
            FileNotFoundError: it is not finished.
        """
        return json.loads((self.folder(job) / DONE).read_text())

    def result(self, job: Job) -> dict[str, Any]:
        """What a finished job came to."""
        return self.record(job)["result"]

    def finish(self, job: Job) -> dict[str, Any]:
        """Does the job unless it is done, alone: another process that is at it is waited for.

        Returns:
            Its record.
        """
        if self.done(job):
            return self.record(job)
        folder = self.folder(job)
        with wholefiles.claimed(folder, wait=True):
            if self.done(job):
                return self.record(job)
            began = time.perf_counter()
            result = plain(dict(job.run(folder, self)))
            record = {
                "job": described(job),
                "result": result,
                "code": job.code,
                "commit": commit(),
                "versions": versions(),
                "seconds": round(time.perf_counter() - began, 2),
            }
            wholefiles.write(folder / DONE, json.dumps(record, indent=1, allow_nan=False).encode())
        return record


def versions() -> dict[str, str]:
    """Python's version and those of the packages that decide the figures."""
    found = {"python": platform.python_version(), "tfqdyn": tfqdyn.__version__}
    return found | packages()
