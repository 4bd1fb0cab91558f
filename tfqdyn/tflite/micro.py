"""TensorFlow Lite Micro's interpreter, of the package `tflite-micro`: the extra "micro".

It has one kind of kernels, most of them for int8 and int16 activations with 8-bit weights. A file
that it refuses is an error with what it printed: its exceptions only say that it failed.
"""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.files.quoting import brief
from tfqdyn.tflite.file import TfliteFileError

INSTALL = "pip install 'tfqdyn[micro]'"
FIRST_ARENA = 2**20
LARGEST_ARENA = 2**31 - 2**20
_TOTAL = re.compile(rb"Arena allocation total (\d+) bytes")
_FULL = (b"Failed to allocate", b"Failed to resize", b"missing:", b"Arena size is too small")
"""Where the arena was too small."""


def name() -> str:
    """The package with its version.

    Raises:
        TfliteFileError: it is not installed.
    """
    try:
        return f"tflite_micro {version('tflite-micro')}"
    except PackageNotFoundError:
        raise TfliteFileError(f"the package tflite-micro is not installed: {INSTALL}") from None


class MicroInterpreter:
    """One file in TensorFlow Lite Micro, in the least arena of those that double from 1 MiB.

    Args:
        content: the file, with inputs of fixed shapes.
        kept: keep every tensor; else `arena` tells what the file needs.

    Raises:
        TfliteFileError: the package is not there, or it refuses the file.
    """

    def __init__(self, content: bytes, kept: bool) -> None:
        name()
        from tflite_micro import runtime  # an extra

        mode = runtime.InterpreterConfig
        config = mode.kPreserveAllTensors if kept else mode.kAllocationRecording
        size = FIRST_ARENA
        while True:
            try:
                with _said() as said:
                    self._interpreter: Any = runtime.Interpreter.from_bytes(
                        content, arena_size=size, intrepreter_config=config
                    )
                    return
            except (RuntimeError, ValueError) as error:
                if not any(word in said() for word in _FULL) or 2 * size > LARGEST_ARENA:
                    raise TfliteFileError(_refusal(said(), error)) from error
            size *= 2

    def invoke(self, inputs: Sequence[NDArray]) -> None:
        """Runs it on its inputs, in the file's order.

        Raises:
            TfliteFileError: a kernel refuses them.
        """
        try:
            with _said() as said:
                for position, values in enumerate(inputs):
                    self._interpreter.set_input(values, position)
                self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise TfliteFileError(_refusal(said(), error)) from error

    def invoke_again(self) -> None:
        """Runs it on the inputs that it has."""
        self._interpreter.invoke()

    def output(self, position: int) -> NDArray:
        """A copy of an output, by its position among the file's."""
        return np.array(self._interpreter.get_output(position))

    def value(self, tensor: int) -> NDArray:
        """A copy of any tensor of the file, where they are kept."""
        return np.array(self._interpreter.GetTensor(tensor, 0)["tensor_data"])

    def arena(self) -> int | None:
        """Bytes of arena that the file needs; None where tensors are kept."""
        with _said() as said:
            self._interpreter.print_allocations()
        found = _TOTAL.search(said())
        return int(found[1]) if found else None


def _refusal(said: bytes, error: Exception) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return f"TensorFlow Lite Micro refuses it: {brief('; '.join(lines[-3:]) or error)}"


@contextmanager
def _said() -> Iterator[Callable[[], bytes]]:
    """What native code writes to stderr meanwhile; this process' own lines are kept back too."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as stream:
        text: list[bytes] = []

        def said() -> bytes:
            return text[0] if text else b""

        os.dup2(stream.fileno(), 2)
        try:
            yield said
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            stream.seek(0)
            text.append(stream.read())
