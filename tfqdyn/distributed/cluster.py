"""Ray (https://docs.ray.io) on this machine or on a cluster, made ready for the caller's code.

Every node needs Python with the packages of setup.py, in the versions of this machine. The code is
sent along: workers compute with the caller's. Files never travel, so folders of results and of data
must be shared by all nodes, under the same paths.
"""

import importlib.util
import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import tfqdyn

Resources = Mapping[str, float]
"""What a node has, by Ray's names: "CPU", "GPU"."""

LIBRARY = Path(tfqdyn.__file__).parent
"""The folder of this package, which workers get."""
PACKAGES = ("tensorflow", "keras", "numpy", "ai-edge-litert")
"""What decides figures, and must be of one version everywhere."""
OBJECT_STORE = 100 * 2**20
"""Bytes of a local Ray's object store, where little travels."""

CALL = 20.0
"""Seconds in which a cluster must answer a call."""


class ClusterError(RuntimeError):
    """Ray or its cluster is not as it must be; no work was begun."""


def check_installed() -> None:
    """Refuses to go on without Ray.

    Raises:
        ClusterError: Ray is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise ClusterError('Ray is not installed: pip install "tfqdyn[distributed]"')


@contextmanager
def connected(
    address: str | None,
    modules: Sequence[Path] = (LIBRARY,),
    variables: Mapping[str, str] | None = None,
    object_store: int = OBJECT_STORE,
) -> Iterator[None]:
    """Ray while it lasts: a cluster is left as it was, a local one ended with all its processes.

    Args:
        address: of a running cluster, as `ray.init` takes it ("auto", "HOST:6379",
            "ray://HOST:10001"); None starts a Ray on this machine.
        modules: folders of packages that workers compute with: sent to a cluster, read where they
            are on this machine, where what was compiled of them lies beside them.
        variables: of the workers' environment.
        object_store: bytes that a local Ray holds of what travels.

    Raises:
        ClusterError: there is no Ray, or none at the address.
    """
    check_installed()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # work reports to nobody
    import ray

    local = {"include_dashboard": False, "object_store_memory": object_store}
    environment: dict[str, Any] = {"env_vars": dict(variables or {})}
    if address:
        environment["py_modules"] = [str(folder) for folder in modules]
    else:
        found = [str(folder.parent) for folder in modules]
        held = environment["env_vars"].get("PYTHONPATH", os.environ.get("PYTHONPATH"))
        path = os.pathsep.join(dict.fromkeys([*found, *filter(None, [held])]))
        environment["env_vars"]["PYTHONPATH"] = path
    try:
        if address and ":" in address:
            _call(address)
        ray.init(
            address or "local",
            runtime_env=environment,
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


def checked_nodes(files: Sequence[Path]) -> tuple[Resources, ...]:
    """What the nodes have that can work: they have CPUs, and each sees files of this machine.

    Args:
        files: that are there, absolute.

    Raises:
        ClusterError: no node has a CPU; one does not see a file or cannot run the code, or its
            packages have other versions.
    """
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    if not nodes:
        raise ClusterError("no node of the cluster has a CPU: start one that has")
    look = ray.remote(num_cpus=0)(_look)
    there = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    paths = [str(file) for file in files]
    asked = [look.options(scheduling_strategy=one).remote(paths) for one in there]
    try:
        answers = ray.get(asked)
    except RayError as error:
        raise ClusterError(f"a node cannot run the code: {error}") from error
    found = [(node["NodeManagerHostname"], *answer) for node, answer in zip(nodes, answers)]
    if blind := [(name, unseen[0]) for name, unseen, _ in found if unseen]:
        raise ClusterError(
            f"all nodes must share the files that the work reads and writes, but {blind[0][1]} of "
            f"this machine is not seen on {', '.join(name for name, _ in blind)}: name a folder on "
            "a file system that all nodes share"
        )
    here = packages()
    if other := [f"{name} has {theirs}" for name, _, theirs in found if theirs != here]:
        raise ClusterError(
            f"all nodes must have the packages of this machine, {here}; {'; '.join(other)}"
        )
    return tuple(node["Resources"] for node in nodes)


def _look(paths: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The files that a node does not see, and the node's packages."""
    return [path for path in paths if not Path(path).exists()], packages()


def packages() -> dict[str, str]:
    """The versions of `PACKAGES` on this machine."""
    return {name: metadata.version(name) for name in PACKAGES}
