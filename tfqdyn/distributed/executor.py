"""Scored images on Ray: a pool of actors that hold the networks, one partial result per block.

Ray Data hands out numbers of blocks (`sampling.blocks`). An actor reads the block's images itself,
from the caller's files or from arrays in Ray's store, and gives what they come to; the caller
merges in the order of the blocks. That is what one process does by itself, so figures are equal to
the last digit whatever the number of workers, on machines of one kind. A block whose worker dies is
scored again by another.
"""

import logging
import math
import os
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.console import Progress, quiet_tensorflow
from tfqdyn.datasets import Dataset, Inputs
from tfqdyn.distributed import cluster
from tfqdyn.measurement import sampling
from tfqdyn.measurement.bench import Bench
from tfqdyn.measurement.measured import Measured
from tfqdyn.measurement.scoring import Scored, Scoring

PASSED = ("KERAS_BACKEND", "PYTHONPATH", "TF_CPP_MIN_LOG_LEVEL", "TFQDYN_DATA_DIR")
"""Environment variables that workers get from the caller, besides the number of threads."""

RETRIES = 3
"""How often a worker that died begins anew, and a block is scored again."""


@dataclass(frozen=True)
class RayExecutor:
    """Scores images by actors of Ray; see `measurement.scoring.Executor`.

    Attributes:
        workers: actors; None for one fewer than there are CPUs.
        address: of a running cluster, as `ray.init` takes it; None for a Ray on this machine.
    """

    workers: int | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers must be at least 1, received {self.workers}")
        if self.address and self.address.startswith("ray://"):
            raise ValueError(
                f"a Ray client's address ({self.address}) does not do: run the command on a node "
                "of the cluster, with auto or HOST:6379"
            )

    def __call__(self, scoring: Scoring, scored: NDArray[np.int64], progress: Progress) -> Scored:
        """Scores the images of some indices.

        Raises:
            ClusterError: no Ray, no cluster, or nodes that cannot do the work.
            ValueError: what a block's images raise; of several blocks, the first.
        """
        blocks = sampling.blocks(scored)
        room = cluster.OBJECT_STORE + 2 * _bytes_of(scoring)
        with cluster.connected(self.address, variables=_variables(), object_store=room):
            nodes = cluster.checked_nodes(_files_of(scoring.dataset))
            cpus = [node.get("CPU", 0.0) for node in nodes]
            workers = min(self.workers or max(1, math.floor(sum(cpus)) - 1), len(blocks))
            found = _scored(scoring, blocks, workers, share(cpus, workers))
            parts = _in_order(progress(found, "score blocks", len(blocks)), len(blocks))
            return _whole(parts, scoring)


def share(nodes: Sequence[float], workers: int) -> float:
    """CPUs to ask for, for each worker: as many as fit, all but one, which a pool must leave.

    A worker runs on one node: of nodes of three, one and one CPUs, two workers get one each.

    Args:
        nodes: how many CPUs each has.
        workers: at least one.
    """
    cpus = sum(nodes)
    room = max(cpus - 1, cpus / 2)
    sizes = chain(
        map(Fraction, range(int(room // workers), 0, -1)), (Fraction(1, k) for k in count(2))
    )
    fitting = (s for s in sizes if workers * s <= room and sum(n // s for n in nodes) >= workers)
    return float(next(fitting))


def _scored(
    scoring: Scoring, blocks: Sequence[NDArray[np.int64]], workers: int, cpus: float
) -> Iterator[tuple[int, Any]]:
    """Numbers of blocks and what they came to, as they come."""
    import ray
    from ray import cloudpickle
    from ray.data import ActorPoolStrategy, DataContext

    logging.getLogger("ray.data").setLevel(logging.ERROR)  # what fails is raised
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # a reference in bytes holds what it refers to until Ray ends: a worker may begin anew
    reference = ray.put((scoring, list(blocks)))
    told = cloudpickle.dumps(reference)  # pyright: ignore[reportPrivateImportUsage]
    numbers = ray.data.range(len(blocks), override_num_blocks=len(blocks))
    found = numbers.map_batches(
        _Worker,
        batch_size=1,
        compute=ActorPoolStrategy(size=workers),
        fn_constructor_args=(told,),
        num_cpus=cpus,
        ray_remote_args_fn=lambda: {"max_restarts": RETRIES, "max_task_retries": RETRIES},
    )
    for row in found.iter_rows():
        yield int(row["id"]), pickle.loads(row["found"])  # made by our own workers


class _Worker:
    """An actor: what it scores, and how."""

    def __init__(self, told: bytes) -> None:
        import ray
        from ray import cloudpickle

        quiet_tensorflow()
        held: Any = ray.get(cloudpickle.loads(told))  # pyright: ignore[reportPrivateImportUsage]
        self._scoring: Scoring = held[0]
        self._blocks: Sequence[NDArray[np.int64]] = held[1]
        bench = Bench(self._scoring.graph, self._scoring.config)
        self._compare = bench.comparison(self._scoring.trials, self._scoring.plan())
        self._own = bench.own_comparison(self._scoring.cut)

    def __call__(self, batch: Mapping[str, NDArray]) -> dict[str, Any]:
        """What one block came to, or what it raised, in bytes."""
        (number,) = batch["id"]
        block, images = self._blocks[int(number)], self._scoring.dataset.x_test
        try:
            measured, own = self._compare(images, block), self._own(images, block)
            found: Any = _light(Scored(measured, own, self._scoring.answers(block)))
        except ValueError as error:  # what an analysis in one process would have told
            found = ValueError(str(error))
        return {"id": batch["id"], "found": [pickle.dumps(found)]}


def _light(scored: Scored) -> Scored:
    """Without what the caller has: networks, the plan, and labels."""
    measured: Any = scored.measured
    gauges = [[gauge.without_labels() for gauge in of] for of in measured.gauges]
    answers = [replace(answer, model=None) for answer in scored.answered]
    return Scored(replace(measured, trials=(), plan=None, gauges=gauges), scored.own, answers)


def _in_order(found: Iterable[tuple[int, Any]], blocks: int) -> Iterator[Scored]:
    """Parts in the order of their blocks; no more of them are kept than came early.

    Raises:
        ValueError: the first block, in order, that raised.
        ClusterError: some blocks never came.
    """
    early: dict[int, Any] = {}
    due = 0
    for number, part in found:
        early[number] = part
        while due in early:
            part = early.pop(due)
            if isinstance(part, ValueError):
                raise part
            yield part
            due += 1
    if due != blocks:
        raise cluster.ClusterError(f"block {due} of {blocks} was never scored")


def _whole(parts: Iterator[Scored], scoring: Scoring) -> Scored:
    """All parts merged, with what workers left out."""
    whole = next(parts)
    for part in parts:
        whole = whole.merge(part)
    plan = scoring.plan()
    measured: Measured = replace(whole.measured, trials=scoring.trials, plan=plan)
    gauges = [
        [fresh.merge(gauge) for fresh, gauge in zip(plan.gauges(), of, strict=True)]
        for of in measured.gauges
    ]
    models = scoring.models()
    answers = [replace(a, model=m) for a, m in zip(whole.answered, models, strict=True)]
    return Scored(replace(measured, gauges=gauges), whole.own, answers)


def _variables() -> dict[str, str]:
    """The workers' environment, with the caller's threads: rounding depends on their number."""
    import tensorflow as tf

    found = {name: os.environ[name] for name in PASSED if name in os.environ}
    threads = {
        "TF_NUM_INTRAOP_THREADS": tf.config.threading.get_intra_op_parallelism_threads(),
        "TF_NUM_INTEROP_THREADS": tf.config.threading.get_inter_op_parallelism_threads(),
    }
    cores = str(os.cpu_count())
    told = {name: str(number) if number else os.environ.get(name, cores)
            for name, number in threads.items()}  # fmt: skip
    return found | told | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", cores)}


def _arrays(dataset: Dataset) -> list[Any]:
    held = [dataset.x_test, dataset.x_train]
    return [
        array
        for split in held
        if split is not None
        for array in (split.arrays.values() if isinstance(split, Inputs) else [split])
    ]


def _files_of(dataset: Dataset) -> list[Path]:
    """The files that the data stay in."""
    found = (file for array in _arrays(dataset) for file in getattr(array, "files", ()))
    return list(dict.fromkeys(file.absolute() for file in found))


def _bytes_of(scoring: Scoring) -> int:
    """About how much travels to the workers: arrays in memory, and the networks of all trials."""
    arrays = sum(getattr(array, "nbytes", 0) for array in _arrays(scoring.dataset))
    weights = sum(w.nbytes for node in scoring.graph for w in node.weights.values())
    return arrays + 4 * weights * len(scoring.trials)
