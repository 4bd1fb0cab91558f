"""What the interpreter makes of a file, found out in a process of its own, where it may crash.

Whether a file takes batches of another size than its own is tried, for what a file says of its
shapes is not what its operators do.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence

import numpy as np

from tfqdyn.files.apart import ApartError, run_apart
from tfqdyn.tflite import interpreter
from tfqdyn.tflite.file import INDICES, TfliteFileError

_SECONDS = 300

Shapes = Mapping[int, tuple[int, ...]]
"""Shapes of tensors, by their index."""


def probe(
    content: bytes, runs: Sequence[Shapes], resolver: str = interpreter.RESOLVER
) -> list[Shapes | None]:
    """Runs a file on inputs of given shapes, and tells the shapes of all its tensors.

    Args:
        content: the file, which `file.parse` has read.
        runs: for each run the shapes that its inputs are resized to.
        resolver: whose kernels run it.

    Returns:
        For each run what shape each tensor took, of those whose values can be read; None where the
        interpreter refused it.

    Raises:
        TfliteFileError: it refuses the first run, crashes or does not end.
    """
    wanted = [{str(t): list(shape) for t, shape in run.items()} for run in runs]
    header = json.dumps({"runs": wanted, "resolver": resolver})
    try:
        told = run_apart(
            "tfqdyn.tflite.probing:probe_apart", header.encode() + b"\n" + content, _SECONDS
        )
    except ValueError as error:
        raise TfliteFileError(str(error)) from error
    except ApartError as error:
        if len(runs) > 1:  # only the first is one that the file promises
            return [*probe(content, runs[:1], resolver), *[None] * (len(runs) - 1)]
        raise TfliteFileError(f"TFLite's interpreter cannot run the file: {error}") from error
    return [
        None if run is None else {int(t): tuple(shape) for t, shape in run.items()}
        for run in json.loads(told)
    ]


def probe_apart(given: bytes) -> bytes:
    """`probe` in the process that it starts."""
    header, content = given.split(b"\n", 1)
    found: list[dict[str, list[int]] | None] = []
    wanted = json.loads(header)
    for number, run in enumerate(wanted["runs"]):
        shapes = {int(t): shape for t, shape in run.items()}
        try:
            found.append(_run(content, shapes, wanted["resolver"]))
        except TfliteFileError:
            if number == 0:
                raise
            found.append(None)
    return json.dumps(found).encode()


def _run(
    content: bytes, inputs: Mapping[int, Sequence[int]], resolver: str
) -> dict[str, list[int]]:
    """The shapes after two runs: on zeros, and on numbers of every kind (indices stay 0)."""
    with interpreter.refusals():
        run = interpreter.observed(content, resolver)
        for tensor, shape in inputs.items():
            run.resize_tensor_input(tensor, shape)
        run.allocate_tensors()
        drawn = np.random.default_rng(0)
        for scale in (0, 1):
            for tensor in inputs:
                held = run.tensor(tensor)()
                codes = scale * drawn.integers(0, 256, held.shape)
                if held.dtype.kind == "f":
                    held[...] = codes / 128 - scale
                else:
                    held[...] = 0 if held.dtype.name in INDICES else codes.astype(held.dtype)
                del held
            run.invoke()
        found = {}
        for detail in run.get_tensor_details():
            with contextlib.suppress(ValueError, TypeError):  # loops keep some tensors nowhere
                found[str(detail["index"])] = list(run.tensor(detail["index"])().shape)
        return found
