"""Several small networks side by side on one accelerator.

A network of 32x32 images keeps a GPU busy for a fraction of a step; the rest is the wait for the
next one. So trainings share a device, each in a process of its own, and each takes memory as it
needs it, where TensorFlow and JAX would take all of it for the first.
"""

import os
from collections.abc import Mapping

SIDE_BY_SIDE = 8
"""Trainings that share one device under Ray; `--jobs` says it for this machine."""

VARIABLES: Mapping[str, str] = {
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
"""Environment variables by which TensorFlow and JAX take memory as they need it."""


def share() -> dict[str, str]:
    """Has this process and those that it starts share devices; before a backend is loaded.

    What the environment says already is left.

    Returns:
        The variables as they are now, for other processes.
    """
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    return {name: os.environ[name] for name in VARIABLES}


def count() -> int:
    """Accelerators that the backend of Keras sees on this machine."""
    import keras

    return sum(not name.startswith("cpu") for name in keras.distribution.list_devices())
