"""A process that makes attempts, one a line of its input, and tells how each ended.

    python -m hostile.child FOLDER MATERIAL KINDS

Lines in: a kind's name, a tab, a number. Lines out: JSON, {"outcome": clean, fine or wrong, "text",
"seconds"}.
"""

import importlib
import json
import os
import random
import resource
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOST_MEMORY = 4 * 2**30
"""Bytes that attempts may take beyond what the process has after a sound analysis."""
LONGEST_ERROR = 20_000
EMPTY = ("tmp", "home", "cwd")
"""Folders that an attempt might write to."""
KNOWN = (ValueError, OSError, RuntimeError)
"""What the commands print as an error of one line; everything else ends in a traceback."""


def serve(folder: Path, material_folder: Path, kinds: str) -> None:
    answers = os.dup(1)
    os.dup2(2, 1)  # native code may print
    for name in ("case", *EMPTY):
        (folder / name).mkdir(parents=True)
    os.environ |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "MPLBACKEND": "Agg", "KERAS_BACKEND": "tensorflow"}
    os.chdir(folder / "cwd")

    from hostile.material import Material
    from hostile.watch import Watch

    from tfqdyn.console import quiet_tensorflow

    quiet_tensorflow()
    module = importlib.import_module(kinds)
    material = Material(material_folder)
    case = folder / "case"
    module.warm_up(case, material)
    empty(folder)
    watch = Watch(case, [*(folder / name for name in EMPTY), case / "trap"])
    limit_memory()
    with os.fdopen(answers, "w") as stream:
        print("ready", file=stream, flush=True)
        for line in sys.stdin:
            kind, number = line.rstrip("\n").split("\t")
            clear(case, material)
            rng = random.Random(f"{kind}/{number}")
            make, _ = module.KINDS[kind]
            attempt = make(rng, int(number), case, material)
            start = time.monotonic()
            with watch.attempt() as done:
                outcome, text = tried(attempt)
            seconds = time.monotonic() - start
            if done:
                outcome, text = "wrong", f"{'; '.join(done)}\n{text}"
                empty(folder)
            answer = {"outcome": outcome, "text": text, "seconds": seconds}
            print(json.dumps(answer), file=stream, flush=True)


def empty(folder: Path) -> None:
    """Empties the folders that attempts should leave empty."""
    for name in EMPTY:
        shutil.rmtree(folder / name)
        (folder / name).mkdir()
    os.chdir(folder / "cwd")


def clear(case: Path, material: Any) -> None:
    """An empty folder for a case, but for the trap and the secret."""
    shutil.rmtree(case)
    (case / "trap").mkdir(parents=True)
    shutil.copy(material.folder / "secret", case / "secret")


def limit_memory() -> None:
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + MOST_MEMORY, hard))


def tried(attempt: Callable[[], Any]) -> tuple[str, str]:
    """How an attempt ends: (clean, fine or wrong; the error)."""
    try:
        attempt()
    except BaseException as error:
        text = "".join(traceback.format_exception(error))[-6000:]
        return ("clean", str(error)[:400]) if is_clear(error) else ("wrong", text)
    return "fine", ""


def is_clear(error: BaseException) -> bool:
    """Whether it is an error of our own, or of the system about a file that it names."""
    if not isinstance(error, KNOWN) or not 0 < len(str(error)) <= LONGEST_ERROR:
        return False
    if isinstance(error, OSError) and error.filename is not None:
        return True
    *_, last = traceback.extract_tb(error.__traceback__)
    import tfqdyn

    package = Path(tfqdyn.__file__).parent
    return Path(last.filename).is_relative_to(package) or last.filename.endswith("attempts.py")


if __name__ == "__main__":
    serve(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), sys.argv[3])
