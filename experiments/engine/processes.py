"""Runs jobs side by side on this machine, each in a process of its own, one thread each.

A process ends with its job and gives back all that Keras keeps of a network that was trained. The
processes are of low priority, so that a machine stays usable for the days that a scale may take.
"""

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from experiments.engine.execution import (
    LEFT_OUT,
    Report,
    attempt,
    raise_failures,
    to_stderr,
    unfinished,
)
from experiments.engine.store import Job, Store, key_of
from tfqdyn.console import quiet_tensorflow

NICENESS = 10
"""Added to that of the command."""


class TimeIsUpError(RuntimeError):
    """The minutes are over and jobs are left; the same command goes on."""


def run_in_processes(
    jobs: Sequence[Job],
    store: Store,
    most: int,
    minutes: float | None = None,
    report: Report = to_stderr,
) -> None:
    """Finishes the jobs, those at once that do not need each other, in the order given.

    Whatever ends this process ends those of the jobs; nothing is lost but the work since their last
    checkpoints.

    Args:
        jobs: what to finish.
        store: where.
        most: jobs at a time.
        minutes: after which all are ended; None for as long as it takes.
        report: takes a line of progress as each job begins.

    Raises:
        TimeIsUpError: the minutes were over first.
        JobsFailedError: some jobs raised, or killed their process; those that need them were left
            out, all others are finished.
    """
    ends = None if minutes is None else time.monotonic() + 60 * minutes
    todo = list(unfinished(jobs, store))
    total, begun = len(todo), 0
    failed: dict[str, str] = {}
    running: dict[int, _Running] = {}
    try:
        while todo or running:
            for job in [job for job in todo if any(key_of(n) in failed for n in job.needs)]:
                todo.remove(job)
                failed[key_of(job)] = LEFT_OUT
            ready = [job for job in todo if all(store.done(needed) for needed in job.needs)]
            for job in ready[: most - len(running)]:
                begun += 1
                todo.remove(job)
                report(f"[{begun}/{total}] {key_of(job)}")
                one = _Running(job, store)
                running[one.process.sentinel] = one
            left = None if ends is None else max(0.0, ends - time.monotonic())
            over = multiprocessing.connection.wait(list(running), left)
            if running and not over:
                raise TimeIsUpError(f"{minutes:g} minutes are over; {total - begun} jobs not begun")
            for sentinel in over:
                one = running.pop(sentinel)  # pyright: ignore[reportArgumentType]
                if why := one.failure():
                    failed[key_of(one.job)] = why
                    report(f"    failed: {key_of(one.job)}: {why}")
    finally:
        for one in running.values():
            one.process.terminate()
        for one in running.values():
            one.process.join()
    raise_failures(failed, total)


class _Running:
    """A job in its process."""

    def __init__(self, job: Job, store: Store) -> None:
        self.job = job
        context = multiprocessing.get_context("spawn")
        self._told, end = context.Pipe(duplex=False)
        packed = pickle.dumps((job, store))
        self.process: BaseProcess = context.Process(target=_work, args=(packed, end))
        self.process.start()
        end.close()

    def failure(self) -> str | None:
        """Why the job is not finished, its process being over; None if it is."""
        self.process.join()
        try:
            return self._told.recv()
        except EOFError:
            return f"its process ended with status {self.process.exitcode}"


def _work(packed: bytes, end: Connection) -> None:
    """One job in a process; tells how it failed, or None.

    Args:
        packed: job and store; to unpack them imports TensorFlow, which is quieted first.
        end: where to tell.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends this
    os.nice(NICENESS)
    quiet_tensorflow()
    job, store = pickle.loads(packed)
    end.send(attempt(job, store))


def _end_with_parent() -> None:
    """Ends this process when the one that started it has gone, however it went."""
    parent: Any = multiprocessing.parent_process()
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
