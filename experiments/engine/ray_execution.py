"""Runs jobs as tasks of Ray, side by side: on all cores of this machine, or on a cluster.

Ray alone decides what runs where and when, and does the task of a worker that died again; this
module only tells it what each job uses and needs. A task finishes its job in the store, as
`execution.run_locally` would: the store's file lock, atomic writes and checkpoints let a repeated
task go on where the dead one stopped.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.engine import accelerators, threads
from experiments.engine.execution import (
    LEFT_OUT,
    Report,
    attempt,
    raise_failures,
    to_stderr,
    unfinished,
)
from experiments.engine.provenance import COMMIT, commit
from experiments.engine.store import Job, Store, key_of
from tfqdyn.distributed.cluster import Resources, checked_nodes, connected

SENT = ("models", "experiments", "tfqdyn")
"""Packages that workers get."""
PASSED = ("KERAS_BACKEND", "TFQDYN_DATA_DIR")
"""Environment variables that workers get from the caller, besides those of `threads`."""
RETRIES = 3
"""How often the task of a worker that died is done again."""
SLOW_FILES = 120.0
"""Seconds that a network file system may take to show a file that another node wrote."""


def run_on_ray(
    jobs: Sequence[Job], store: Store, address: str | None = None, report: Report = to_stderr
) -> None:
    """Finishes the jobs, those at once that do not need each other; a line as each ends.

    A job gets the cores that it declares (see `share`); accelerators are asked for where there are
    any. An interrupt stops all tasks and loses nothing but the work since their last checkpoints.

    Args:
        jobs: what to finish.
        store: its folder must be shared by all nodes, under the same path.
        address: of a running cluster; None for this machine. See `cluster.connected`.
        report: takes each line of progress.

    Raises:
        ClusterError: no Ray, no cluster, or nodes that cannot do the work; before any of it.
        JobsFailedError: some jobs raised, or killed one worker after another; those that need
            them were left out, all others are finished.
    """
    store = Store(store.root.absolute())
    todo = unfinished(jobs, store)
    if not todo:
        return
    root = Path(__file__).parents[2]
    with connected(address, [root / name for name in SENT], _variables()):
        store.root.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=store.root, prefix=".shared-") as file:
            nodes = checked_nodes([Path(file.name)])
        cpus, gpus = (sum(node.get(kind, 0) for node in nodes) for kind in ("CPU", "GPU"))
        report(f"Ray: {len(todo)} jobs; nodes: {len(nodes)}, CPUs: {cpus:g}, GPUs: {gpus:g}")
        failed = _finish(todo, store, nodes, report)
    raise_failures(failed, len(todo))


def _variables() -> dict[str, str]:
    """The workers' environment."""
    passed = {name: os.environ[name] for name in PASSED if name in os.environ}
    told = {COMMIT: found} if (found := commit()) else {}
    return threads.fix() | accelerators.share() | passed | told


def share(job: Job, nodes: Sequence[Resources]) -> tuple[float, float]:
    """CPUs and GPUs to ask for: what the job uses, or the most that one node has.

    So no job waits for a node that is not there; on fewer cores it takes longer and comes to the
    same (see `threads`). A node with the accelerator is preferred to one with more cores.

    Args:
        job: what is to run.
        nodes: at least one.
    """
    gpus = min(job.gpus, max(node.get("GPU", 0) for node in nodes))
    fit = [node for node in nodes if node.get("GPU", 0) >= gpus]
    return min(job.cpus, max(node.get("CPU", 0) for node in fit)), gpus


def _finish(
    todo: Sequence[Job], store: Store, nodes: Sequence[Resources], report: Report
) -> dict[str, str]:
    """Hands all jobs to Ray and waits for them; returns what failed and why, in order."""
    import ray
    from ray.exceptions import RayError

    task = ray.remote(max_retries=RETRIES)(_task)
    refs: dict[str, Any] = {}
    for job in todo:
        cpus, gpus = share(job, nodes)
        needs = [refs[key_of(needed)] for needed in job.needs if key_of(needed) in refs]
        asked = task.options(name=key_of(job), num_cpus=cpus, num_gpus=gpus)
        refs[key_of(job)] = asked.remote(job, store, *needs)

    def failure(job: Job) -> str | None:
        """Why a job failed whose task has ended; those of the jobs it needs have, too."""
        if any(failure(needed) for needed in job.needs if key_of(needed) in refs):
            return LEFT_OUT
        try:
            return ray.get(refs[key_of(job)]) or _unseen(job, store)
        except RayError as error:
            return f"{type(error).__name__}: {str(error).splitlines()[0]}"

    failed: dict[str, str] = {}
    running = {ref: job for ref, job in zip(refs.values(), todo)}
    while running:
        for ref in ray.wait(list(running))[0]:
            job = running.pop(ref)
            report(f"[{len(todo) - len(running)}/{len(todo)}] {key_of(job)}")
            if why := failure(job):
                failed[key_of(job)] = why
                report(f"    failed: {why}")
    return {key_of(job): failed[key_of(job)] for job in todo if key_of(job) in failed}


def _task(job: Job, store: Store, *failures: str | None) -> str | None:
    """One job on a worker; the failures are those of the jobs that it needs."""
    return LEFT_OUT if any(failures) else attempt(job, store)


def _unseen(job: Job, store: Store) -> str | None:
    """Waits until this node sees, too, that a job is done; says so if it never does."""
    deadline = time.monotonic() + SLOW_FILES
    while not store.done(job):
        if time.monotonic() > deadline:
            return f"finished, but not seen in {store.folder(job)} after {SLOW_FILES:g} s"
        time.sleep(0.1)
    return None
