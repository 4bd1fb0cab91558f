"""Scored images on Ray: equal to one process, whoever scores what, and whoever dies."""

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from conftest import images, residual_net

from tfqdyn.cli.flags import UsageError
from tfqdyn.cli.inputs import executor_of
from tfqdyn.config import AnalysisConfig
from tfqdyn.distributed import cluster, executor
from tfqdyn.distributed.executor import RayExecutor, share
from tfqdyn.measurement import sampling
from tfqdyn.pipeline import analyze
from tfqdyn.results import plain

CONFIG = AnalysisConfig(
    preprocessing="tf", trials=2, calibration_size=8, own_error=True, task="classification"
)
pytestmark = pytest.mark.filterwarnings("default")  # Ray uses what it deprecates
PATIENCE = 300
"""Seconds that a busy machine is given for what takes a few."""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "BLOCK", 12)
    monkeypatch.setenv("RAY_worker_niceness", "0")


def analyzed(who: RayExecutor | None) -> Any:
    keras.utils.set_random_seed(1)
    return plain(analyze(residual_net(), images(90), CONFIG, executor=who))


def test_workers_share_all_cpus_but_one() -> None:
    assert share([2], 1) == 1
    assert share([2], 2) == 0.5
    assert share([16], 3) == 5
    assert share([16], 4) == 3
    assert share([8], 8) == 1 / 2
    assert share([1], 2) == 0.25
    assert share([4, 4, 4, 4], 2) == 4, "no node has seven"
    assert share([4, 4, 4, 4], 1) == 4
    assert share([3, 1, 1, 1], 2) == 1, "two that have two CPUs each do not fit"
    assert share([1, 1, 1, 1], 5) == 1 / 2


def test_parts_are_merged_in_the_order_of_blocks() -> None:
    arrived = [(2, "c"), (0, "a"), (1, "b"), (3, "d")]
    assert list(executor._in_order(arrived, 4)) == ["a", "b", "c", "d"]


def test_the_first_block_that_fails_is_the_one_that_is_raised() -> None:
    arrived = [(3, ValueError("late")), (1, ValueError("early")), (0, "a"), (2, "c")]
    with pytest.raises(ValueError, match="early"):
        list(executor._in_order(arrived, 4))


def test_a_block_that_never_comes_is_told() -> None:
    with pytest.raises(cluster.ClusterError, match="block 1 of 3 was never scored"):
        list(executor._in_order([(0, "a"), (2, "c")], 3))


def actors() -> set[int]:
    """Processes of Ray that score."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if told.startswith(b"ray::MapWorker"):
            found.add(int(process.name))
    return found


class Killed(RayExecutor):
    """Kills an actor as soon as one has scored a block."""

    def __call__(self, scoring: Any, scored: Any, progress: Any) -> Any:
        def watched(items: Any, what: str, total: int) -> Iterator[Any]:
            for number, item in enumerate(items):
                if number == 0:
                    victim = min(actors())
                    os.kill(victim, signal.SIGKILL)
                    self.__dict__["victim"] = victim
                yield item

        return super().__call__(scoring, scored, watched)


def test_workers_come_to_what_one_process_does_even_when_one_is_killed() -> None:
    before = actors()
    alone = analyzed(None)
    who = Killed(2)
    assert analyzed(who) == alone
    assert who.__dict__["victim"] not in before
    deadline = time.monotonic() + PATIENCE
    while actors() - before and time.monotonic() < deadline:
        threading.Event().wait(0.2)
    assert actors() <= before, "a local Ray ends with the analysis"


def test_what_an_image_raises_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    data = images(30)
    broken = np.array(data.x_test, np.float32)
    broken[25] = np.nan
    keras.utils.set_random_seed(1)
    clean = dataclasses.replace(data, x_test=broken, x_train=data.x_test, y_train=data.y_test)
    with pytest.raises(ValueError, match="image 25 holds NaN"):
        analyze(residual_net(), clean, CONFIG, executor=RayExecutor(1))


def test_an_address_without_a_cluster_is_refused() -> None:
    who = RayExecutor(address="127.0.0.1:1")
    keras.utils.set_random_seed(1)
    with pytest.raises(
        cluster.ClusterError, match=r"joining the Ray cluster at 127.0.0.1:1 failed"
    ):
        analyze(residual_net(), images(24), CONFIG, executor=who)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"executor": "spark"}, "--executor must be local or ray, received 'spark'"),
        ({"workers": 2}, "--workers is for --executor=ray"),
        ({"ray_address": "auto"}, "--ray_address is for --executor=ray"),
        ({"executor": "ray", "ray_address": "ray://a:1"}, "a Ray client's address"),
        ({"executor": "ray", "workers": 0}, "workers must be at least 1, received 0"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(given: dict[str, Any], message: str) -> None:
    every = {"executor": "local", "workers": None, "ray_address": None, "threads": 1}
    asked: Any = {**every, "verbosity": 0, **given}
    with pytest.raises(UsageError, match=message):
        executor_of(asked)
