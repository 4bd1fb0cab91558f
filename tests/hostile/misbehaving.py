"""Attempts that go wrong, each in another way: what the runner must see."""

import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from hostile.data import Armed
from hostile.material import Material


def kind(attempt: Callable[[Path], Any]) -> tuple[Callable[..., Any], int]:
    def make(rng: Random, number: int, folder: Path, material: Material) -> Callable[[], Any]:
        return lambda: attempt(folder)

    return make, 1


def raises(error: BaseException) -> None:
    raise error


def hangs(folder: Path) -> None:
    while True:
        pass


KINDS = {
    "traceback": kind(lambda folder: {}["x"]),
    "error of another's": kind(lambda folder: int("x")),
    "error without words": kind(lambda folder: raises(ValueError())),
    "leaves": kind(lambda folder: sys.exit(1)),
    "writes outside": kind(lambda folder: (folder.parent / "x").touch()),
    "writes into the trap, natively": kind(lambda folder: _native(folder / "trap" / "x")),
    "writes into the home": kind(lambda folder: (Path.home() / "x").touch()),
    "makes a folder": kind(lambda folder: (folder / "x").mkdir()),
    "leaves a temporary file": kind(lambda folder: _native(Path(os.environ["TMPDIR"]) / "x")),
    "reads the secret": kind(lambda folder: (folder / "secret").read_text()),
    "starts a program": kind(lambda folder: subprocess.run(["true"], check=True)),
    "runs a shell": kind(lambda folder: os.system("true")),
    "unpickles": kind(lambda folder: pickle.loads(pickle.dumps(Armed(folder / "out")))),
    "connects": kind(lambda folder: socket.socket().connect_ex(("127.0.0.1", 9))),
    "takes memory": kind(lambda folder: bytearray(2**35)),
    "crashes": kind(lambda folder: os.abort()),
    "hangs": kind(hangs),
    "fine": kind(lambda folder: (folder / "out").mkdir()),
}


def _native(path: Path) -> None:
    """A file that Python does not see being written."""
    import tensorflow as tf

    tf.io.write_file(str(path), "x")


def warm_up(folder: Path, material: Material) -> None:
    """Imports what attempts need."""
    import tensorflow as tf

    tf.io.write_file(str(folder / "x"), "x")
