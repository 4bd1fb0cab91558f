"""What a user sees in a terminal: progress bars and errors on stderr, tables on stdout."""

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

PIPED_WIDTH = 120
"""Columns of a table that does not go to a terminal."""


def progress_bar(items: Iterable[Any], what: str, total: int) -> Iterator[Any]:
    """Yields the items behind a progress bar; nothing is drawn where stderr is not a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from items
        return
    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield from progress.track(items, total, description=what)


def print_tables(tables: Sequence[Table], notes: Sequence[str] = ()) -> None:
    """Prints tables, then remarks, to stdout."""
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    console = Console(width=width)
    for table in tables:
        console.print(table)
    for note in notes:
        console.print(note, markup=False, highlight=False)


def quiet_tensorflow() -> None:
    """Imports TensorFlow without its banners: what its C++ code prints while it loads is dropped.

    Errors of the import itself are raised as ever.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("absl").setLevel(logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            with _without("sklearn"):
                import tensorflow  # noqa: F401 (for its messages alone)
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Hides a module from imports.

    Keras imports scikit-learn, half a second and 60 MB, for wrappers that nothing here uses.
    """
    hidden: Any = None
    if module in sys.modules:
        yield
        return
    sys.modules[module] = hidden
    try:
        yield
    finally:
        del sys.modules[module]


def failure(message: str) -> None:
    """One error, on stderr."""
    print(f"tfqdyn: {message}", file=sys.stderr)
