"""TFLite's interpreter: which one, how it is pinned, and a first run in a process of its own.

LiteRT's interpreter is the default and `tf.lite`'s the fallback. The op resolver is pinned:
built-in kernels without default delegates. TFLite's reference kernels and XNNPACK (the default, op
by op where tensors are kept) round some codes to the neighbour, and such differences add up from
layer to layer; `benchmarks/kernel_codes.py` counts them.
"""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from tfqdyn.console import stderr_dropped
from tfqdyn.files.apart import ApartError, run_apart
from tfqdyn.tflite.file import TfliteFileError

RESOLVER = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
REFERENCE = "BUILTIN_REF"
DEPLOYED = "BUILTIN"
"""TFLite's own resolvers: built-in kernels, reference kernels, and the default delegates."""
_SECONDS = 300


def name(resolver: str = RESOLVER) -> str:
    """Which interpreter runs, with its version and the op resolver."""
    try:
        return f"ai_edge_litert {version('ai-edge-litert')}, {resolver}"
    except PackageNotFoundError:
        import tensorflow as tf  # heavy; only where LiteRT is missing

        return f"tf.lite {tf.__version__}, {resolver}"


def observed(content: bytes, resolver: str = RESOLVER) -> Any:
    """An interpreter of one thread that keeps every tensor, with kernels by their resolver."""
    litert, kinds = _litert()
    with warnings.catch_warnings():  # that keeping tensors takes memory, with some resolvers
        warnings.simplefilter("ignore", UserWarning)
        return litert.Interpreter(
            model_content=content,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=kinds[resolver],
        )


def deployed(content: bytes, threads: int, resolver: str = DEPLOYED) -> Any:
    """An interpreter as applications use it: no tensors kept, default delegates (XNNPACK).

    Its tensors are allocated.
    """
    litert, kinds = _litert()
    with stderr_dropped():  # XNNPACK announces itself there
        run = litert.Interpreter(
            model_content=content,
            num_threads=threads,
            experimental_op_resolver_type=kinds[resolver],
        )
        run.allocate_tensors()
    return run


@contextmanager
def refusals() -> Iterator[None]:
    """Around what an interpreter does with a file: what it says of one that it cannot run.

    Raises:
        TfliteFileError: it refuses the file.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        first = str(error).split("\n")[0]
        raise TfliteFileError(f"TFLite's interpreter refuses the .tflite file: {first}") from error


def rehearse(content: bytes, shapes: Mapping[int, Sequence[int]]) -> None:
    """Runs a file from elsewhere in a process of its own, where it may crash.

    Args:
        content: the file.
        shapes: what its inputs are resized to, as they will be, by tensor.

    Raises:
        TfliteFileError: the interpreter refuses the file, crashes or does not end.
    """
    header = json.dumps([[tensor, list(shape)] for tensor, shape in shapes.items()]).encode()
    try:
        run_apart("tfqdyn.tflite.interpreter:rehearse_apart", header + b"\n" + content, _SECONDS)
    except ValueError as error:
        raise TfliteFileError(str(error)) from error
    except ApartError as error:
        raise TfliteFileError(f"TFLite's interpreter cannot run the file: {error}") from error


def rehearse_apart(given: bytes) -> bytes:
    """`rehearse` in the process that it starts: on zeros, and on codes of every kind."""
    header, content = given.split(b"\n", 1)
    wanted = json.loads(header)
    with refusals():
        run = observed(content)
        for tensor, shape in wanted:
            run.resize_tensor_input(tensor, shape)
        run.allocate_tensors()
        run.invoke()
        for tensor, _ in wanted:
            held = run.tensor(tensor)()
            drawn = np.random.default_rng(0).integers(0, 256, held.shape)
            held[...] = drawn / 128 - 1 if held.dtype.kind == "f" else drawn.astype(held.dtype)
            del held
        run.invoke()
    return b""


def _litert() -> tuple[Any, Any]:
    """The module that has `Interpreter`, and the kinds of resolvers."""
    try:
        from ai_edge_litert import interpreter
    except ImportError:
        import tensorflow as tf

        return tf.lite, tf.lite.experimental.OpResolverType
    return interpreter, interpreter.OpResolverType
