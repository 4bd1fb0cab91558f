"""What a command of `tfqdyn` is: a record that its module declares, flags and help included."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from tfqdyn.cli.flags import WIDTH, Flag, listed

VERBOSITY = Flag(
    "verbosity", int, 0,
    "1 shows where an error came from, and lets TensorFlow's own messages through.",
    group="Terminal",
)  # fmt: skip


@dataclass(frozen=True)
class Given:
    """A parsed command line: values of flags by name, and the words that are no flags."""

    values: Mapping[str, Any]
    arguments: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def out(self) -> Path:
        """The folder for the results."""
        return Path(self["out"])


@dataclass(frozen=True)
class Outcome:
    """What a command shows at its end.

    Attributes:
        tables: tables and texts, printed to stdout in their order.
        notes: lines after them.
        written: names of the files and folders below `--out` that the run wrote.
        warnings: printed before all else: what forbids conclusions.
        passed: False where a command that judges found what it looks for; the exit status is 1.
    """

    tables: tuple[Table | str, ...] = ()
    notes: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    passed: bool = True


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        name: as it is typed.
        summary: what it is for, in half a line.
        manual: what it does and writes, in a paragraph or two.
        example: of its use, whole.
        flags: all that it takes, but `VERBOSITY`, which every command takes.
        run: does it. What fails raises ValueError, OSError or RuntimeError.
        arguments: what the words are that are no flags; "" where it takes none.
        resumes: whether it carries on where an interrupted run stopped.
    """

    name: str
    summary: str
    manual: str
    example: str
    flags: tuple[Flag, ...]
    run: Callable[[Given], Outcome] = field(repr=False)
    arguments: str = ""
    resumes: bool = False

    @property
    def all_flags(self) -> tuple[Flag, ...]:
        """What the command takes, and what every command takes."""
        return (*self.flags, VERBOSITY)

    @property
    def writes(self) -> bool:
        """Whether it has a folder for results, which it alone writes to while it runs."""
        return any(flag.name == "out" for flag in self.flags)

    @property
    def help(self) -> str:
        """What `tfqdyn COMMAND --help` prints."""
        head = f"tfqdyn {self.name}: {self.summary}"
        assert len(head) <= WIDTH, head
        return f"{head}\n\n  {self.example}\n\n{self.manual.strip()}\n\n{listed(self.all_flags)}\n"
