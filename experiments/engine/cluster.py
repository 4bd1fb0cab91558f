"""Ray (https://docs.ray.io) on this machine or on a cluster, made ready for the experiments' code.

Every node needs Python with the packages of setup.py, in the versions of this machine. `models`,
`experiments` and `tfqdyn` are sent along: workers compute with the caller's code. Results never
travel, so folders of results and of data ($TFQDYN_DATA_DIR) must be shared by all nodes.
"""

import importlib.util
import logging
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from experiments.engine import accelerators, threads
from experiments.engine.provenance import COMMIT, commit
from experiments.engine.store import PACKAGES, versions

Resources = Mapping[str, float]
"""What a node has, by Ray's names: "CPU", "GPU"."""

SENT = ("models", "experiments", "tfqdyn")
PASSED = ("KERAS_BACKEND", "TFQDYN_DATA_DIR")
"""Environment variables that workers get from the caller, besides those of `threads`."""
OBJECT_STORE = 100 * 2**20
"""Bytes of a local Ray's object store, which carries one line of text a job."""

CALL = 20.0
"""Seconds in which a cluster must answer a call."""


class ClusterError(RuntimeError):
    """Ray or its cluster is not as it must be; no job was begun."""


def check_installed() -> None:
    """Refuses to go on without Ray.

    Raises:
        ClusterError: Ray is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise ClusterError('Ray is not installed: pip install "tfqdyn[distributed]"')


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Ray while it lasts: a cluster is left as it was, a local one ended with all its processes.

    Args:
        address: of a running cluster, as `ray.init` takes it ("auto", "HOST:6379",
            "ray://HOST:10001"); None starts a Ray on this machine.

    Raises:
        ClusterError: there is no Ray, or none at the address.
    """
    check_installed()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # experiments report to nobody
    import ray

    root = Path(__file__).parents[2]
    passed = {name: os.environ[name] for name in PASSED if name in os.environ}
    passed |= {COMMIT: told} if (told := commit()) else {}
    local = {"include_dashboard": False, "object_store_memory": OBJECT_STORE}
    try:
        if address and ":" in address:
            _call(address)
        ray.init(
            address or "local",
            runtime_env={
                "py_modules": [str(root / name) for name in SENT],
                "env_vars": threads.fix() | accelerators.share() | passed,
            },
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if address else local),
        )
    except Exception as error:  # Ray documents ConnectionError and raises others, too
        where = f"joining the Ray cluster at {address}" if address else "starting Ray here"
        raise ClusterError(f"{where} failed: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _call(address: str) -> None:
    """Connects once: Ray itself would try for minutes before it says that nobody is there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    socket.create_connection((host, int(port)), timeout=CALL).close()


def checked_nodes(folder: Path) -> tuple[Resources, ...]:
    """What the nodes have that can run jobs: they have CPUs, and each sees a file written here.

    Args:
        folder: of results, absolute; made if it is not there.

    Raises:
        ClusterError: no node has a CPU; one does not see the file or cannot run the code, or its
            packages have other versions.
    """
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    if not nodes:
        raise ClusterError("no node of the cluster has a CPU: start one that has")
    look = ray.remote(num_cpus=0)(_look)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".shared-") as file:
        there = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
        asked = [look.options(scheduling_strategy=one).remote(file.name) for one in there]
        try:
            answers = ray.get(asked)
        except RayError as error:
            raise ClusterError(f"a node cannot run the code: {error}") from error
    found = [(node["NodeManagerHostname"], *answer) for node, answer in zip(nodes, answers)]
    if blind := [name for name, sees, _ in found if not sees]:
        raise ClusterError(
            f"all nodes must share the folder of results, but {folder} of this machine is not "
            f"seen on {', '.join(blind)}: name a folder on a file system that all nodes share"
        )
    here = _packages()
    if other := [f"{name} has {packages}" for name, _, packages in found if packages != here]:
        raise ClusterError(
            f"all nodes must have the packages of this machine, {here}; {'; '.join(other)}"
        )
    return tuple(node["Resources"] for node in nodes)


def _look(path: str) -> tuple[bool, dict[str, str]]:
    """Whether a node sees a file, and the node's packages."""
    return Path(path).exists(), _packages()


def _packages() -> dict[str, str]:
    return {name: version for name, version in versions().items() if name in PACKAGES}
