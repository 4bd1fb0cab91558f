"""Runs jobs in the order of their needs, one after another in this process.

What a run owes to its caller is here, for all executors: every job that can be finished is, those
that need a failed one are left out, and what failed is told at the end. `ray_execution` does the
same on several processes or machines.
"""

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence

from experiments.engine.store import Job, Store, key_of
from tfqdyn.files import wholefiles

Report = Callable[[str], None]

LEFT_OUT = "needs a job that failed"
TRACEBACK = "traceback.txt"


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


def unfinished(jobs: Iterable[Job], store: Store) -> tuple[Job, ...]:
    """What is left to do, in order."""
    return tuple(job for job in ordered(jobs) if not store.done(job))


def to_stderr(message: str) -> None:
    """Prints a line of progress."""
    print(message, file=sys.stderr, flush=True)


def attempt(job: Job, store: Store) -> str | None:
    """Finishes a job, whatever it raises.

    The traceback of what it raised is in its folder, `traceback.txt`, until it is finished.

    Returns:
        What it raised, in a line; None if it is finished.
    """
    trace = store.folder(job) / TRACEBACK
    try:
        store.finish(job)
    except Exception as error:  # whatever a job raises is told at the end, with all others
        with contextlib.suppress(OSError):  # it may be that nothing can be written
            wholefiles.write(trace, traceback.format_exc().encode())
        return f"{type(error).__name__}: {error}"
    trace.unlink(missing_ok=True)
    return None


def run_locally(jobs: Sequence[Job], store: Store, report: Report = to_stderr) -> None:
    """Finishes the jobs one after another; a line of progress as each begins.

    An interrupt ends the run at once and loses nothing but the work since the last checkpoint.

    Raises:
        JobsFailedError: some raised; those that need them were left out, all others are finished.
    """
    todo = unfinished(jobs, store)
    failed: dict[str, str] = {}
    for position, job in enumerate(todo, 1):
        key = key_of(job)
        if any(key_of(needed) in failed for needed in job.needs):
            failed[key] = LEFT_OUT
            continue
        report(f"[{position}/{len(todo)}] {key}")
        failure = attempt(job, store)
        if failure is not None:
            failed[key] = failure
            report(f"    failed: {failure}")
    raise_failures(failed, len(todo))


def raise_failures(failed: Mapping[str, str], total: int) -> None:
    """Tells what failed, of how many jobs; keys and reasons.

    Raises:
        JobsFailedError: any did.
    """
    if failed:
        told = "\n".join(f"  {key}: {why}" for key, why in failed.items())
        raise JobsFailedError(f"{len(failed)} of {total} jobs failed:\n{told}")
