"""Runs one of our functions in a process of its own, where native code may die or never end.

libhdf5 and TFLite's interpreter are native code: a damaged file can crash them, or keep them busy
for ever. What a file makes of them is therefore tried apart first. The process has a limit on its
time and, on Linux, on its memory; it imports what this one could import, and nothing from the
working directory.
"""

import importlib
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path

import tfqdyn
from tfqdyn.files import memory

_START = f"import sys; sys.path[:] = sys.argv[3:]; from {__name__} import _serve; _serve()"
_REFUSED = 3
"""Exit status of a process whose function raised ValueError."""


class ApartError(RuntimeError):
    """The process died or took too long; the message says which."""


def run_apart(function: str, argument: bytes, seconds: float) -> bytes:
    """What a function returns, run in a process of its own.

    Args:
        function: "tfqdyn.module:name"; takes bytes and returns bytes.
        argument: what it is given.
        seconds: how long it may take.

    Raises:
        ValueError: the function raised it; with the same message.
        ApartError: it crashed, ran out of memory or took longer than `seconds`.
    """
    paths = [*sys.path, str(Path(tfqdyn.__path__[0]).parent)]
    command = [sys.executable, "-c", _START, function, str(int(seconds) + 1), *paths]
    try:
        done = subprocess.run(command, input=argument, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise ApartError(f"it did not end within {seconds:.0f} seconds") from None
    if done.returncode == 0:
        return done.stdout
    if done.returncode == _REFUSED:
        raise ValueError(done.stdout.decode())
    if done.returncode < 0:
        raise ApartError(f"it crashed ({signal.Signals(-done.returncode).name})")
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    raise ApartError(f"it failed ({last[0] if last else f'exit status {done.returncode}'})")


def _serve() -> None:
    """In the other process: runs the function that the command line names."""
    name, seconds = sys.argv[1:3]
    _limit(int(seconds))
    answer = os.dup(1)
    os.dup2(2, 1)  # native code may print
    module, _, function = name.partition(":")
    status = 0
    try:
        found = getattr(importlib.import_module(module), function)(sys.stdin.buffer.read())
    except ValueError as error:
        found, status = str(error).encode(), _REFUSED
    except Exception:
        traceback.print_exc()
        found, status = b"", 1
    with os.fdopen(answer, "wb") as stream:
        stream.write(found)
    sys.stderr.flush()
    os._exit(status)  # what native code left behind may not survive a tidy end


def _limit(seconds: int) -> None:
    """No more processor time than the wait allows, and half of the memory that there is; nor more
    of either than this process may have at all.
    """
    try:
        import resource  # POSIX only
    except ImportError:
        return
    for what, most in (
        (resource.RLIMIT_CPU, 4 * seconds),
        (resource.RLIMIT_AS, memory.total() // 2),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))
