"""Runs cases in children: each makes many attempts, and is replaced when it dies or hangs."""

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 300
"""How long one attempt may take, on a machine that does other things too."""
START_SECONDS = 300
ROOT = Path(__file__).parents[2]


@dataclass
class Report:
    """How many cases of each kind ended how; what went wrong, by case."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, number: int, outcome: str, text: str, seconds: float) -> None:
        """Counts one case."""
        self.counts.setdefault(kind, Counter())[outcome] += 1
        self.seconds[kind] = self.seconds.get(kind, 0.0) + seconds
        if outcome == "wrong":
            self.wrong[f"{kind}/{number}"] = text

    def total(self) -> Counter[str]:
        """Of all kinds."""
        return sum(self.counts.values(), Counter())

    def table(self) -> str:
        """A line a kind."""
        rows = [*sorted(self.counts.items()), ("all", self.total())]
        times = {**self.seconds, "all": sum(self.seconds.values())}
        columns = ("clean", "fine", "wrong")
        lines = [f"{'':40}" + "".join(f"{c:>8}" for c in (*columns, "seconds"))]
        lines += [
            f"{name:40}" + "".join(f"{c[k]:8}" for k in columns) + f"{times[name]:8.0f}"
            for name, c in rows
        ]
        return "\n".join(lines)


class Child:
    """One process; started when it is first needed, and after it died."""

    def __init__(self, folder: Path, material: Path, kinds: str, seconds: float) -> None:
        self._folder = folder
        self._kinds = kinds
        self._seconds = seconds
        self._material = material
        self._process: subprocess.Popen[str] | None = None

    def attempt(self, kind: str, number: int) -> tuple[str, str, float]:
        """(outcome, text, seconds) of one case."""
        try:
            process = self._started()
            assert process.stdin
            process.stdin.write(f"{kind}\t{number}\n")
            process.stdin.flush()
            answer = json.loads(self._line(self._seconds))
        except (EOFError, BrokenPipeError, TimeoutError) as error:
            return "wrong", self._ended(error), 0.0
        return answer["outcome"], answer["text"], answer["seconds"]

    def stop(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            with self._process:  # closes its pipes
                pass
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            shutil.rmtree(self._folder, ignore_errors=True)
            paths = [str(ROOT), str(ROOT / "tests"), *sys.path]
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-W",
                    "ignore",
                    "-m",
                    "hostile.child",
                    self._folder,
                    self._material,
                    self._kinds,
                ],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            assert self._line(START_SECONDS) == "ready\n"
        return self._process

    def _line(self, seconds: float) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                raise TimeoutError
        line = self._process.stdout.readline()
        if not line:
            raise EOFError
        return line

    def _ended(self, error: Exception) -> str:
        assert self._process
        if isinstance(error, TimeoutError):
            self.stop()
            return f"hangs: no end within {self._seconds:.0f} seconds"
        status = self._process.wait()
        self.stop()
        what = signal.Signals(-status).name if status < 0 else f"status {status}"
        return f"dies: {what}"


def run(
    cases: Iterable[tuple[str, int]],
    folder: Path,
    material: Path,
    jobs: int = 2,
    told: Callable[[Report], None] = lambda report: None,
    kinds: str = "hostile.kinds",
    seconds: float = SECONDS,
) -> Report:
    """Makes the attempts.

    Args:
        cases: kinds and numbers.
        folder: for what children write.
        material: what `material.write` wrote.
        jobs: how many children.
        told: called after every case.
        kinds: the module that has them.
        seconds: how long an attempt may take.
    """
    report, lock = Report(), threading.Lock()
    todo = iter(cases)

    def taken() -> Iterator[tuple[str, int]]:
        while True:
            with lock:
                case = next(todo, None)
            if case is None:
                return
            yield case

    def work(position: int) -> None:
        child = Child(folder / str(position), material, kinds, seconds)
        try:
            for kind, number in taken():
                found = child.attempt(kind, number)
                with lock:
                    report.add(kind, number, *found)
                    told(report)
        finally:
            child.stop()

    with ThreadPoolExecutor(jobs) as executor:
        list(executor.map(work, range(jobs)))
    return report
