"""What a user sees in a terminal: progress bars and errors on stderr, tables on stdout."""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from typing import Any

from rich import progress as bars
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 120
"""Columns of a table that does not go to a terminal."""


Progress = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Wraps a loop: (items, what they are, how many); yields the items."""


def silent(items: Iterable[Any], what: str, total: int) -> Iterable[Any]:
    """No progress bar."""
    return items


def stage(what: str) -> None:
    """One line on stderr that says what begins; nothing in a terminal, where bars are drawn."""
    if not Console(stderr=True).is_terminal:
        print(f"{printable(what)} ...", file=sys.stderr, flush=True)


def progress_bar(items: Iterable[Any], what: str, total: int) -> Iterator[Any]:
    """Yields the items behind a progress bar; behind one line where stderr is no terminal."""
    if not Console(stderr=True).is_terminal:
        stage(what)
        yield from items
        return
    yield from if_watched(items, what, total)


def if_watched(items: Iterable[Any], what: str, total: int) -> Iterator[Any]:
    """Yields the items behind a progress bar in a terminal or a notebook; silently elsewhere.

    A notebook draws bars with ipywidgets; without that package it has none.
    """
    console = Console(stderr=True)
    drawn = find_spec("ipywidgets") is not None if console.is_jupyter else console.is_terminal
    if not drawn:
        yield from items
        return
    columns = (
        bars.TextColumn("{task.description:<20}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console, transient=True) as progress:
        yield from progress.track(items, total, description=what)


def print_tables(
    tables: Sequence[Table | str], notes: Sequence[str] = (), warnings: Sequence[str] = ()
) -> None:
    """Prints warnings, tables, then remarks, to stdout."""
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    console = _AsItIs(width=width, markup=False, emoji=False)
    for warning in warnings:
        console.print(f"WARNING: {warning}\n", style="bold red", highlight=False, soft_wrap=True)
    for table in tables:
        whole = isinstance(table, str)  # commands to paste stay in one line
        console.print(table, highlight=False, soft_wrap=whole)
    for note in notes:
        console.print(note, highlight=False, soft_wrap=True)  # paths stay whole


class _AsItIs(Console):
    """Prints names of files and layers as text, whatever Rich or a terminal would make of them."""

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(printable(text), **how)


def printable(text: str) -> str:
    """A text with escapes instead of what a terminal obeys or does not show."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )


def quiet_tensorflow() -> None:
    """Imports TensorFlow without its banners: what its C++ code prints while it loads is dropped.

    Errors of the import itself are raised as ever.
    """
    _silence_logs()
    with stderr_dropped(), _without("sklearn"):
        import tensorflow
    tensorflow.get_logger().setLevel(logging.ERROR)  # interactive programs get INFO at first use


def quiet_keras() -> None:
    """Imports Keras and its backend without their banners, for programs that only train.

    On another backend than TensorFlow, TensorFlow is hidden from now on: Keras would import it to
    seed it, for seconds of start-up and a share of the accelerator's memory.
    """
    _silence_logs()
    with stderr_dropped(), _without("sklearn"):
        import keras
    if keras.backend.backend() != "tensorflow":
        sys.meta_path.insert(0, _NoTensorFlow())


class _NoTensorFlow(MetaPathFinder):
    """Makes TensorFlow look as if it were not installed; Keras asks `sys.modules` for it too."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "tensorflow":
            raise ModuleNotFoundError("TensorFlow is kept out: Keras runs on another backend")


def _silence_logs() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("absl", "jax", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def stderr_dropped() -> Iterator[None]:
    """Drops what is written to stderr, by C++ code too."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
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
    print(f"tfqdyn: {printable(message)}", file=sys.stderr)
