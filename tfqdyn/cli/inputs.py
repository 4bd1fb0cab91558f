"""Flags that several commands share, and what they stand for: model, data, configuration."""

import dataclasses
import os
import types
import typing
from typing import TYPE_CHECKING, Any

from tfqdyn.cli.command import Given
from tfqdyn.cli.flags import Flag, UsageError
from tfqdyn.config import GROUPS, HELP, AnalysisConfig
from tfqdyn.console import quiet_tensorflow, stage

if TYPE_CHECKING:
    from tfqdyn.datasets import Dataset
    from tfqdyn.distributed.executor import RayExecutor

FILES = "Input and output"
OUT = Flag(
    "out", str, None, "The folder for the results; made if it is missing.", FILES, "DIR",
    required=True,
)  # fmt: skip
MODEL = Flag(
    "model", str, None,
    "The trained model: a .keras or .h5 file, a float .tflite file, or the folder of a SavedModel. "
    "No code in it is run.",
    FILES, "FILE", required=True,
)  # fmt: skip
DATA = Flag(
    "data", str, None,
    "An .npz file with x_test (and y_test, x_train, y_train, if any), or one array per input by "
    "the input's name; a folder with one subfolder per class, or of images without labels; a "
    "TFRecord or Parquet file, or a folder of such files or of .npz files; 'cifar10' or 'digits'.",
    FILES, "SOURCE", required=True,
)  # fmt: skip


IMPORT = Flag(
    "import", tuple, (),
    "Modules that register layers of your own with Keras, as Python imports them, from the current "
    "folder too. Their code is run.",
    FILES, "MODULE,...",
)  # fmt: skip
RAY = "ray"
WORKERS = (
    Flag("executor", str, "local", "Who scores the images: 'local', this process, or 'ray', "
         "workers of Ray: every figure is the same.", "Workers", "NAME"),
    Flag("workers", int, None, "With --executor=ray: how many; by default one fewer than CPUs.",
         "Workers"),
    Flag("ray_address", str, None, "With --executor=ray: a running cluster (auto, or "
         "HOST:6379); by default a Ray on this machine.", "Workers", "ADDRESS"),
)  # fmt: skip
"""Who scores the images."""


def _kind(setting: dataclasses.Field) -> type:
    """The type of a field's flag; of an optional field the type that it may have."""
    kind: Any = setting.type
    if isinstance(kind, types.UnionType):
        (kind,) = set(typing.get_args(kind)) - {types.NoneType}
    return typing.get_origin(kind) or kind


def _group(name: str) -> str:
    return next((heading for heading, names in GROUPS.items() if name in names), "More settings")


def _settings() -> tuple[Flag, ...]:
    found = [
        Flag(s.name, _kind(s), s.default, s.metadata[HELP], _group(s.name))
        for s in dataclasses.fields(AnalysisConfig)
    ]
    headings = [*GROUPS, "More settings"]
    return tuple(sorted(found, key=lambda flag: headings.index(flag.group)))


SETTINGS = _settings()
"""A flag for every field of `AnalysisConfig`, with its default."""
ANALYSIS = (MODEL, DATA, OUT, IMPORT, *SETTINGS)
"""What a command takes that analyzes a model."""


def config_of(given: Given, **changed: Any) -> AnalysisConfig:
    """The configuration that the flags ask for.

    Raises:
        UsageError: flags that do not go together, or values out of range.
    """
    values = {flag.name: given[flag.name] for flag in SETTINGS}
    try:
        return AnalysisConfig(**{**values, **changed})
    except ValueError as error:
        raise UsageError(str(error)) from error


def executor_of(given: Given) -> "RayExecutor | None":
    """Who scores the images; None for this process.

    Raises:
        UsageError: no such executor, flags that do not go together, or no Ray.
    """
    if given["executor"] not in ("local", RAY):
        raise UsageError(f"--executor must be local or ray, received {given['executor']!r}")
    if given["executor"] != RAY:
        for name in ("workers", "ray_address"):
            if given[name] is not None:
                raise UsageError(f"--{name} is for --executor=ray")
        return None
    start_tensorflow(given)
    from tfqdyn.distributed import cluster
    from tfqdyn.distributed.executor import RayExecutor

    try:
        cluster.check_installed()
        return RayExecutor(given["workers"], given["ray_address"])
    except (cluster.ClusterError, ValueError) as error:
        raise UsageError(f"--executor=ray: {error}") from error


def start_tensorflow(given: Given) -> None:
    """Keras on TensorFlow, with as many threads as asked for; quiet unless --verbosity=1."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(given["threads"]))
    if given["verbosity"] < 1:
        quiet_tensorflow()


def read(given: Given, **changed: Any) -> tuple[Any, "Dataset", AnalysisConfig]:
    """Model, data and configuration; TensorFlow is loaded after this.

    Args:
        given: the command line.
        changed: fields of the configuration that the command decides, not the flags.

    `--preprocessing=auto` is settled by the analyses themselves, which say what they chose.

    Raises:
        UsageError: the configuration is refused.
        ValueError: model, data or a module to import are.
    """
    config = config_of(given, **changed)
    stage("read model and data")
    start_tensorflow(given)
    from tfqdyn import datasets, modelsource

    model = modelsource.load(given["model"], given["import"])
    shape = getattr(model, "input_shape", None)  # models that are not built have none
    size = shape[1:3] if isinstance(shape, tuple) and len(shape) == 4 else None
    size = None if size is None or None in size else size
    return model, datasets.load(given["data"], size), config
