"""The engines by name: sets of kernels that this machine can run."""

from collections.abc import Callable
from dataclasses import dataclass

from tfqdyn.tflite import interpreter, micro


@dataclass(frozen=True)
class Engine:
    """One set of kernels.

    Attributes:
        words: what it is.
        resolver: TFLite's op resolver; None for TensorFlow Lite Micro.
        version: names the package with its version.
        reads_outside: whether it reads weights that a file keeps behind its flatbuffer.
    """

    words: str
    resolver: str | None
    version: Callable[[], str]
    reads_outside: bool = True


def _litert(words: str, resolver: str) -> Engine:
    return Engine(words, resolver, lambda: interpreter.name(resolver))


ENGINES = {
    "builtin": _litert("TFLite's built-in kernels, without delegates", interpreter.RESOLVER),
    "reference": _litert("TFLite's reference kernels", interpreter.REFERENCE),
    "xnnpack": _litert("XNNPACK, which applications get by default", interpreter.DEPLOYED),
    "micro": Engine("TensorFlow Lite Micro", None, micro.name, reads_outside=False),
}
