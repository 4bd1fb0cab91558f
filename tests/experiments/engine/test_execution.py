"""Jobs, in this process and under Ray: order, failures, killed workers, locks, equal results."""

import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from experiments.engine import execution, processes, ray_execution
from experiments.engine.store import Store, described, key_of
from experiments.engine.threads import THREADS, VARIABLES
from tfqdyn.distributed import cluster
from tfqdyn.files.wholefiles import LOCK

ROOT = Path(__file__).parents[3]
PATIENCE = 600
"""Seconds that a busy machine is given for what takes a few."""


@dataclass(frozen=True)
class Fake:
    """Notes the process of each attempt; the first attempt may end in several ways."""

    KIND: ClassVar[str] = "fakes"
    cpus: ClassVar[float] = 1
    gpus: ClassVar[float] = 0

    label: str
    needs: tuple["Fake", ...] = ()
    ends: str = "well"
    options: Mapping[str, int] = field(default_factory=dict)
    path: str = field(default="", compare=False)
    more: str | None = None

    @property
    def code(self) -> str:
        return "generation 1"

    def run(self, folder: Path, store: Store) -> dict[str, Any]:
        with (folder / "attempts").open("a") as stream:
            stream.write(f"{os.getpid()}\n")
        pids = (folder / "attempts").read_text().split()
        if self.ends == "in an error":
            raise ValueError(f"{self.label} is broken")
        if self.ends == "by a key" and len(pids) == 1:
            raise KeyboardInterrupt
        if self.ends == "by a signal" and len(pids) == 1:
            time.sleep(PATIENCE)
        if self.ends == "by itself":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.5 if self.ends == "slowly" else 0)
        return {"attempts": len(pids), "read": [store.result(job)["read"] for job in self.needs]}


class Greedy(Fake):
    """Declares more cores than any machine has."""

    cpus: ClassVar[float] = 4096


def attempts(store: Store, job: Fake) -> list[int]:
    """Processes of a job's attempts."""
    path = store.folder(job) / "attempts"
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def wait_until(true: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_needs_come_first_and_each_job_once():
    a = Fake("a")
    b = Fake("b", (a,))
    c = Fake("c", (b, Fake("a")))
    assert [job.label for job in execution.ordered([c, a, b])] == ["a", "b", "c"]


def test_a_failed_job_stops_only_those_that_need_it(tmp_path: Path):
    store, lines = Store(tmp_path), []
    broken = Fake("broken", ends="in an error")
    jobs = [Fake("never", (broken,)), Fake("second", (Fake("first"),))]
    with pytest.raises(execution.JobsFailedError) as failed:
        execution.run_locally(jobs, store, lines.append)
    first, second = (key_of(job) for job in execution.ordered([jobs[1]]))
    assert lines == [
        f"[1/4] {key_of(broken)}",
        "    failed: ValueError: broken is broken",
        f"[3/4] {first}",
        f"[4/4] {second}",
    ]
    assert str(failed.value) == (
        f"2 of 4 jobs failed:\n  {key_of(broken)}: ValueError: broken is broken\n"
        f"  {key_of(jobs[0])}: needs a job that failed"
    )
    assert store.result(jobs[1]) == {"attempts": 1, "read": [[]]}
    assert attempts(store, jobs[0]) == []
    trace = (store.folder(broken) / "traceback.txt").read_text()
    assert trace.endswith("ValueError: broken is broken\n")
    assert not (store.folder(broken) / "done.json").exists()


def test_an_interrupt_ends_the_run_and_loses_nothing(tmp_path: Path):
    store, lines = Store(tmp_path), []
    jobs = [Fake("before"), Fake("stopped", ends="by a key"), Fake("after")]
    with pytest.raises(KeyboardInterrupt):
        execution.run_locally(jobs, store, lines.append)
    assert [store.done(job) for job in jobs] == [True, False, False]
    execution.run_locally(jobs, store, lines.append)
    assert lines[2:] == [f"[1/2] {key_of(jobs[1])}", f"[2/2] {key_of(jobs[2])}"]
    assert [store.result(job)["attempts"] for job in jobs] == [1, 2, 1]
    execution.run_locally(jobs, store, lines.append)
    assert len(lines) == 4


def finish(root: Path, job: Fake) -> None:
    Store(root).finish(job)


def test_two_processes_that_want_a_job_do_it_once(tmp_path: Path):
    job = Fake("wanted", ends="slowly")
    spawn = multiprocessing.get_context("spawn")
    both = [spawn.Process(target=finish, args=(tmp_path, job)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(PATIENCE)
    assert [process.exitcode for process in both] == [0, 0]
    assert len(attempts(Store(tmp_path), job)) == 1


def test_processes_finish_and_fail_what_a_local_run_does(tmp_path: Path):
    store, lines = Store(tmp_path), []
    broken, dying = Fake("broken", ends="in an error"), Fake("dying", ends="by itself")
    never, second = Fake("never", (broken,)), Fake("second", (Fake("first"),))
    with pytest.raises(execution.JobsFailedError) as failed:
        processes.run_in_processes([never, second, dying], store, 2, report=lines.append)
    told = str(failed.value).splitlines()
    assert told[0] == "3 of 5 jobs failed:"
    assert set(told[1:]) == {
        f"  {key_of(broken)}: ValueError: broken is broken",
        f"  {key_of(never)}: needs a job that failed",
        f"  {key_of(dying)}: its process ended with status -9",
    }
    assert [line[:5] for line in lines if line[0] == "["] == ["[1/5]", "[2/5]", "[3/5]", "[4/5]"]
    assert store.result(second) == {"attempts": 1, "read": [[]]}
    assert attempts(store, never) == []
    pids = {pid for job in (broken, dying, second) for pid in attempts(store, job)}
    assert len(pids) == 3
    assert os.getpid() not in pids


def test_processes_end_when_the_time_is_up_and_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = Store(tmp_path)
    endless, after = Fake("endless", ends="by a signal"), Fake("after")

    def time_is_up(sentinels: list[int], seconds: float) -> list[int]:
        wait_until(lambda: attempts(store, endless))
        assert seconds <= 60 * PATIENCE
        return []

    with monkeypatch.context() as patched:
        patched.setattr("multiprocessing.connection.wait", time_is_up)
        with pytest.raises(processes.TimeIsUpError, match="minutes are over; 1 jobs not begun"):
            processes.run_in_processes([endless, after], store, 1, minutes=PATIENCE)
    (pid,) = attempts(store, endless)
    assert not Path(f"/proc/{pid}").exists()
    assert [store.done(job) for job in (endless, after)] == [False, False]
    with pytest.raises(processes.TimeIsUpError):
        processes.run_in_processes([endless, after], store, 1, minutes=0)
    processes.run_in_processes([endless, after], store, 1)
    assert store.result(endless)["attempts"] in (2, 3)
    assert store.done(after)


def test_processes_end_with_the_command_however_it_ends(tmp_path: Path):
    endless = Fake("endless", ends="by a signal")
    spawn = multiprocessing.get_context("spawn")
    command = spawn.Process(target=processes.run_in_processes, args=([endless], Store(tmp_path), 1))
    command.start()
    (pid,) = wait_until(lambda: attempts(Store(tmp_path), endless))
    command.kill()
    command.join(PATIENCE)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    assert not Store(tmp_path).done(endless)


def test_keys_name_what_decides_the_result():
    job = Fake("a", options={"x": 1, "y": 2})
    assert key_of(job) == key_of(Fake("a", options={"x": 1, "y": 2}))
    assert key_of(job) == key_of(Fake("a", options={"y": 2, "x": 1}))
    assert key_of(job) == key_of(Fake("a", options={"x": 1, "y": 2}, path="/elsewhere"))
    needy = Fake("b", (job,))
    assert key_of(needy) == key_of(Fake("b", (Fake("a", options={"y": 2, "x": 1}, path="/"),)))
    others = [
        Fake("b", options=job.options),
        Fake("a", options={"x": 1, "y": 3}),
        Fake("a", ends="slowly", options=job.options),
        Fake("a", (Fake("c"),), options=job.options),
        needy,
    ]
    assert len({key_of(other) for other in [job, *others]}) == 6
    silent = Fake("a", options={"x": 1, "y": 2}, more=None)
    assert key_of(job) == key_of(silent)
    assert "more" not in described(silent)
    assert key_of(job) != key_of(Fake("a", options={"x": 1, "y": 2}, more="said"))


@pytest.mark.parametrize(
    ("cpus", "gpus", "nodes", "expected"),
    [
        (2, 1, [{"CPU": 8}], (2, 0)),
        (2, 1, [{"CPU": 1}, {"CPU": 1}], (1, 0)),
        (2, 0, [{"CPU": 1, "GPU": 4}, {"CPU": 8}], (2, 0)),
        (2, 1, [{"CPU": 1, "GPU": 4}, {"CPU": 8}], (1, 1)),
        (2, 0.25, [{"CPU": 4, "GPU": 1}], (2, 0.25)),
        (2, 2, [{"CPU": 4, "GPU": 1}], (2, 1)),
    ],
)
def test_a_job_asks_for_no_more_than_a_node_has(cpus, gpus, nodes, expected):
    class Asking(Fake):
        pass

    Asking.cpus, Asking.gpus = cpus, gpus
    assert ray_execution.share(Asking("a"), nodes) == expected


def test_trainings_and_analyses_declare_the_threads_that_they_use():
    from experiments.engine.jobs import (  # with Keras, which spawned processes spare
        Analysis,
        Training,
    )

    assert Training.cpus == Analysis.cpus == THREADS


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two nodes of one core each, so two workers at a time."""
    from ray import cloudpickle
    from ray.cluster_utils import Cluster

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests
    two = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        two.add_node(num_cpus=1)
        yield two.address
    finally:
        two.shutdown()


def test_ray_finishes_and_fails_what_a_local_run_does(tmp_path: Path, address: str):
    store, lines = Store(tmp_path), []
    broken = Fake("broken", ends="in an error")
    never, second = Fake("never", (broken,)), Fake("second", (Fake("first"),))
    with pytest.raises(execution.JobsFailedError) as failed:
        ray_execution.run_on_ray([never, second, Greedy("greedy")], store, address, lines.append)
    assert str(failed.value) == (
        f"2 of 5 jobs failed:\n  {key_of(broken)}: ValueError: broken is broken\n"
        f"  {key_of(never)}: needs a job that failed"
    )
    assert lines[0] == "Ray: 5 jobs; nodes: 2, CPUs: 2, GPUs: 0"
    assert sorted(line[:5] for line in lines[1:] if line[0] == "[") == [
        "[1/5]", "[2/5]", "[3/5]", "[4/5]", "[5/5]",
    ]  # fmt: skip
    assert store.result(second) == {"attempts": 1, "read": [[]]}
    assert store.result(Greedy("greedy"))["attempts"] == 1
    assert attempts(store, never) == []
    assert "ValueError: broken" in (store.folder(broken) / "traceback.txt").read_text()
    assert not list(tmp_path.glob(".shared-*"))


def test_the_job_of_a_killed_worker_is_done_again_and_others_go_on(tmp_path: Path, address: str):
    store = Store(tmp_path)
    killed = Fake("killed", ends="by a signal")
    after, beside = Fake("after", (killed,)), Fake("beside", ends="slowly")
    hopeless = Fake("hopeless", ends="by itself")

    def kill() -> None:
        os.kill(wait_until(lambda: attempts(store, killed))[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    jobs = [after, beside, Fake("left out", (hopeless,))]
    with pytest.raises(execution.JobsFailedError) as failed:
        ray_execution.run_on_ray(jobs, store, address, lambda line: None)
    killer.join()
    first, second = attempts(store, killed)
    assert first != second
    assert store.result(killed)["attempts"] == 2
    assert store.result(after) == {"attempts": 1, "read": [[]]}
    assert store.result(beside)["attempts"] == 1
    assert len(attempts(store, hopeless)) == 1 + ray_execution.RETRIES
    told = str(failed.value).splitlines()
    assert told[0] == "2 of 5 jobs failed:"
    assert told[1].startswith(f"  {key_of(hopeless)}: WorkerCrashedError: ")
    assert told[2] == f"  {key_of(jobs[2])}: needs a job that failed"


def test_a_folder_that_nodes_do_not_share_is_refused(tmp_path: Path, address: str):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:  # a path that names this folder in this process alone
        mine = Store(Path(f"/proc/self/fd/{descriptor}"))
        with pytest.raises(cluster.ClusterError, match="name a folder on a file system that all"):
            ray_execution.run_on_ray([Fake("a")], mine, address)
    finally:
        os.close(descriptor)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:port"])
def test_an_address_without_a_cluster_is_refused(tmp_path: Path, address: str):
    with pytest.raises(cluster.ClusterError, match=f"joining the Ray cluster at {address} failed"):
        ray_execution.run_on_ray([Fake("a")], Store(tmp_path), address)
    assert not list(tmp_path.iterdir())


ARTIFACT = "mobilenets/figure_1"
MARK = "TFQDYN_TEST_RUN"


def start(workdir: Path, *arguments: str) -> subprocess.Popen[str]:
    """One training and its analysis at smoke scale, through the command."""
    unset = ("TFQDYN_DATA_DIR", *VARIABLES)
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    command = ("-m", "experiments.run", f"--artifact={ARTIFACT}", "--scale=smoke", "--verbosity=0")
    return subprocess.Popen(
        [sys.executable, *command, f"--workdir={workdir}", *arguments],
        cwd=ROOT,
        env=environment | {MARK: str(workdir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listen_to_interrupts,
    )


def listen_to_interrupts() -> None:
    """Whatever shell the tests run under: in its background it has them ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def processes_of(workdir: Path) -> list[int]:
    """Processes that a command on this workdir started, and their children: by environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:  # ended meanwhile, or another user's
            continue
        if f"{MARK}={workdir}".encode() in environment:
            found.append(int(entry.name))
    return found


def test_results_under_ray_equal_local_ones_to_the_last_digit(tmp_path: Path):
    here, there = tmp_path / "local", tmp_path / "ray"
    local, ray = start(here), start(there, "--executor=ray")
    wait_until(lambda: list(there.glob(f"trainings/*/{LOCK}")) or ray.poll() is not None)
    ray.send_signal(signal.SIGINT)
    _, errors = ray.communicate(timeout=PATIENCE)
    assert ray.returncode == 130, errors
    assert errors.endswith("stopped: what is done is kept, the same command goes on\n")
    wait_until(lambda: not processes_of(there))
    runs = [local, start(there, "--executor=ray")]
    for run in runs:
        output, errors = run.communicate(timeout=PATIENCE)
        assert run.returncode == 0, errors
        assert ARTIFACT in output
    wait_until(lambda: not processes_of(there))
    done = {path.relative_to(here) for path in here.glob("*/*/done.json")}
    assert len(done) == 2
    assert done == {path.relative_to(there) for path in there.glob("*/*/done.json")}
    for path in done:
        one, other = (json.loads((root / path).read_text()) for root in (here, there))
        assert timeless(one) == timeless(other)
    rows = [root / "artifacts" / "smoke-seed0" / ARTIFACT / "rows.csv" for root in (here, there)]
    assert untimed(rows[0]) == untimed(rows[1])
    tables: list[str] = []
    for name in ("history.csv", "dynamics.csv", "layers.csv"):
        tables += [str(path.relative_to(here)) for path in here.glob(f"*/*/{name}")]
    assert len(tables) == 3
    for table in tables:
        assert (here / table).read_bytes() == (there / table).read_bytes(), table


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    """A job's record without what clocks said."""
    result = {name: v for name, v in record["result"].items() if name != "train_seconds"}
    return {**record, "seconds": 0, "result": result}


def untimed(table: Path) -> list[dict[str, str]]:
    """Rows of a CSV file without what clocks said."""
    with table.open(newline="") as stream:
        return [{**row, "train_minutes": ""} for row in csv.DictReader(stream)]


WITHOUT_RAY = """
import sys
sys.modules["ray"] = None
"""
COMMAND = """
import sys
from absl import app
from experiments import run
run.define_flags()
try:
    app.run(run.main)
finally:
    assert "tensorflow" not in sys.modules
"""


@pytest.mark.parametrize(
    ("code", "flag", "message"),
    [
        (
            WITHOUT_RAY + COMMAND,
            "--executor=ray",
            'not installed: pip install "tfqdyn[distributed]"',
        ),
        (COMMAND, "--ray_address=auto", "--ray_address needs --executor=ray."),
    ],
)
def test_refusals_come_before_any_work(tmp_path: Path, code: str, flag: str, message: str):
    run = [sys.executable, "-c", code, f"--workdir={tmp_path / 'works'}", flag]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert message in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "works").exists()
