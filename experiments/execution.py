"""Runs jobs in the order of their needs: in this process, or as tasks of Ray."""

import sys
from collections.abc import Callable, Iterable, Sequence

from experiments.store import Job, Store, key_of

Report = Callable[[str], None]


class JobsFailedError(RuntimeError):
    """Some jobs raised; all that did not need them are finished."""


def ordered(jobs: Iterable[Job]) -> tuple[Job, ...]:
    """The jobs and all that they need, each once, needs first."""
    found: dict[str, Job] = {}

    def visit(job: Job) -> None:
        if key_of(job) not in found:
            for needed in job.needs:
                visit(needed)
            found[key_of(job)] = job

    for job in jobs:
        visit(job)
    return tuple(found.values())


def to_stderr(message: str) -> None:
    """Prints a line of progress."""
    print(message, file=sys.stderr, flush=True)


def run_locally(jobs: Sequence[Job], store: Store, report: Report = to_stderr) -> None:
    """Finishes the jobs one after another.

    Raises:
        JobsFailedError: some raised; those that need them were left out, all others are finished.
    """
    todo = [job for job in ordered(jobs) if not store.done(job)]
    failed: dict[str, str] = {}
    for position, job in enumerate(todo, 1):
        key = key_of(job)
        if any(key_of(needed) in failed for needed in job.needs):
            failed[key] = "needs a job that failed"
            continue
        report(f"[{position}/{len(todo)}] {key}")
        try:
            store.finish(job)
        except Exception as error:  # whatever a job raises is told at the end, with all others
            failed[key] = f"{type(error).__name__}: {error}"
            report(f"    failed: {failed[key]}")
    if failed:
        told = "\n".join(f"  {key}: {why}" for key, why in failed.items())
        raise JobsFailedError(f"{len(failed)} of {len(todo)} jobs failed:\n{told}")
