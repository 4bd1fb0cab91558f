"""What runs in a process apart: a whole file on samples, or operators of it one by one.

A sample is what one run of the file reads: its inputs, by position. Arrays are named
"sample.tensor", both by number; files travel among them as bytes.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tfqdyn.engines.arrays import packed, unpacked
from tfqdyn.engines.catalogue import ENGINES, Engine
from tfqdyn.tflite import interpreter
from tfqdyn.tflite.file import TfliteFileError
from tfqdyn.tflite.micro import MicroInterpreter

WARM_UP = 2
"""Runs that do not count."""
MOST_SECONDS = 0.1
"""What the runs of one operator may take together, once there are `FEWEST`."""
FEWEST = 3


class _Loaded(Protocol):
    """A file in an engine."""

    def invoke(self, inputs: Sequence[NDArray]) -> None:
        """Runs it on its inputs, in the file's order."""
        ...

    def invoke_again(self) -> None:
        """Runs it on the inputs that it has."""
        ...

    def output(self, position: int) -> NDArray:
        """A copy of an output."""
        ...

    def value(self, tensor: int) -> NDArray:
        """A copy of any tensor, where they are kept."""
        ...

    def arena(self) -> int | None:
        """Bytes of arena that the file needs, where the engine has one."""
        ...

    def delegated(self) -> bool | None:
        """Whether a delegate took anything; None where the engine has none."""
        ...


class _LiteRt:
    """A file in TFLite's interpreter, with one thread."""

    def __init__(self, content: bytes, kept: bool, resolver: str) -> None:
        with interpreter.refusals():
            self._run = (
                interpreter.observed(content, resolver)
                if kept
                else interpreter.deployed(content, 1, resolver)
            )
            self._run.allocate_tensors()
        self._delegates = resolver == interpreter.DEPLOYED
        self._inputs = [detail["index"] for detail in self._run.get_input_details()]
        self._outputs = [detail["index"] for detail in self._run.get_output_details()]

    def invoke(self, inputs: Sequence[NDArray]) -> None:
        try:
            with interpreter.refusals():
                details = self._run.get_input_details()
                shapes = [tuple(detail["shape"]) for detail in details]
                if shapes != [values.shape for values in inputs]:
                    for index, values in zip(self._inputs, inputs, strict=True):
                        self._run.resize_tensor_input(index, values.shape)
                    self._run.allocate_tensors()
                for index, values in zip(self._inputs, inputs, strict=True):
                    self._run.set_tensor(index, values)
                self._run.invoke()
        except TfliteFileError:
            raise
        except ValueError as error:  # shapes and types that do not fit
            raise TfliteFileError(f"TFLite's interpreter refuses the input: {error}") from error

    def invoke_again(self) -> None:
        self._run.invoke()

    def output(self, position: int) -> NDArray:
        return self._run.get_tensor(self._outputs[position])

    def value(self, tensor: int) -> NDArray:
        return self._run.get_tensor(tensor)

    def arena(self) -> int | None:
        return None

    def delegated(self) -> bool | None:
        if not self._delegates:
            return None
        return any(detail["op_name"] == "DELEGATE" for detail in self._run._get_ops_details())


class _Micro(MicroInterpreter):
    """A file in TensorFlow Lite Micro."""

    def delegated(self) -> bool | None:
        return None


def _loaded(engine: Engine, content: bytes, kept: bool) -> _Loaded:
    if engine.resolver is None:
        return _Micro(content, kept)
    return _LiteRt(content, kept, engine.resolver)


def outputs(engine: str, content: bytes, runs: Iterable[Sequence[NDArray]]) -> list[NDArray]:
    """First outputs of a whole file, run by run, in this process: for files of our own making.

    Raises:
        TfliteFileError: the engine refuses the file.
    """
    loaded = _loaded(ENGINES[engine], content, False)
    found = []
    for inputs in runs:
        loaded.invoke(inputs)
        found.append(loaded.output(0))
    return found


def whole(given: bytes) -> bytes:
    """Runs a whole file.

    The record holds "engine", "kept", "samples" and "inputs" (how many of both), "tensors" (those
    that are returned; where they are not kept, as many as there are outputs, in their order) and
    "runs" (of which "milliseconds" is the median; 0 for none).

    Raises:
        TfliteFileError: the engine refuses the file.
    """
    record, arrays = unpacked(given)
    run = _loaded(ENGINES[record["engine"]], arrays["file"].tobytes(), record["kept"])
    found: dict[str, NDArray] = {}
    for sample in range(record["samples"]):
        run.invoke([arrays[f"{sample}.{i}"] for i in range(record["inputs"])])
        for position, tensor in enumerate(record["tensors"]):
            found[f"{sample}.{tensor}"] = (
                run.value(tensor) if record["kept"] else run.output(position)
            )
    arena = None if record["kept"] else run.arena()
    return packed({"milliseconds": _time(run, record["runs"]), "arena": arena}, found)


def alone(given: bytes) -> bytes:
    """Runs operators, each cut out as a file of its own.

    The record holds "engine", "samples", "runs" and "operators", each with its "index" and the
    tensors that it "reads" and "makes". Operators that the engine refuses are in the answer's
    "refused", with what it says; "milliseconds" are of the others.
    """
    record, arrays = unpacked(given)
    engine = ENGINES[record["engine"]]
    found: dict[str, NDArray] = {}
    refused: dict[str, str] = {}
    times: dict[str, float | None] = {}
    delegated: dict[str, bool | None] = {}
    for operator in record["operators"]:
        index = str(operator["index"])
        try:
            run = _loaded(engine, arrays[f"file.{index}"].tobytes(), False)
            made = dict(_answers(run, operator, record["samples"], arrays))
        except TfliteFileError as error:
            refused[index] = str(error)
            continue
        found |= made
        times[index], delegated[index] = _time(run, record["runs"]), run.delegated()
    return packed({"refused": refused, "milliseconds": times, "delegated": delegated}, found)


def _answers(
    run: _Loaded, operator: Mapping[str, Any], samples: int, arrays: Mapping[str, NDArray]
) -> Any:
    for sample in range(samples):
        run.invoke([arrays[f"{sample}.{t}"] for t in operator["reads"]])
        for position, tensor in enumerate(operator["makes"]):
            yield f"{sample}.{tensor}", run.output(position)


def _time(run: _Loaded, runs: int) -> float | None:
    """Median milliseconds of a run; fewer runs than asked for where they take long."""
    if runs < 1:
        return None
    return 1000.0 * statistics.median(_durations(run.invoke_again, runs))


def _durations(invoke: Callable[[], None], runs: int) -> list[float]:
    for _ in range(WARM_UP):
        invoke()
    found: list[float] = []
    while len(found) < runs and (len(found) < FEWEST or np.sum(found) < MOST_SECONDS):
        start = time.perf_counter()
        invoke()
        found.append(time.perf_counter() - start)
    return found
