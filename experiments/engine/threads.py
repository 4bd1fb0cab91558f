"""How many threads a process computes with: the same everywhere, for rounding depends on it.

TensorFlow splits its sums by its threads, whose number is by default that of the machine's cores:
two epochs on one, two and four threads end in three different networks. With the number fixed, runs
repeat each other bit for bit (as measured on CPUs, also between executors), on any machine of the
same instruction set. It is one: on two cores, two jobs side by side (`processes`, `ray_execution`)
were a third faster than one after the other on two threads.
"""

import os

THREADS = 1
"""What trainings and analyses declare as `cpus`."""

VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
"""Environment variables of TensorFlow, and of NumPy's linear algebra; read when they first run."""


def fix() -> dict[str, str]:
    """Fixes the number in this process, before NumPy and TensorFlow are loaded.

    A number that the environment has already is left, for those who want another.

    Returns:
        The variables as they are now, for other processes.
    """
    for name in VARIABLES:
        os.environ.setdefault(name, str(THREADS))
    return {name: os.environ[name] for name in VARIABLES}
