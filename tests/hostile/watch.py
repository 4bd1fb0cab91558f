"""What an attempt may not do: run programs, use the network, unpickle, write anywhere but in `out`.

Python tells of it by audit events; what native code writes is seen in the folders that it might
write to, which are empty otherwise.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfqdyn.files import apart

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_ALWAYS = ("os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.startfile")
_NETWORK = (
    "socket.connect",
    "socket.bind",
    "urllib.Request",
    "ftplib.connect",
    "http.client.connect",
)
_PLACES = {
    "os.mkdir": 1, "os.remove": 1, "os.rmdir": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2,
    "os.truncate": 1, "os.chmod": 1, "os.chown": 1, "shutil.rmtree": 1,
}  # fmt: skip
"""Events that change places, and how many of their arguments are places."""


class Watch:
    """Keeps a record of what should not happen.

    Args:
        folder: of the case; its files are given, `out` may be written.
        empty: folders that are empty before and after every attempt.
    """

    def __init__(self, folder: Path, empty: list[Path]) -> None:
        self._out = folder / "out"
        self._secret = str(folder / "secret")
        self._empty = empty
        self._may = (str(self._out), tempfile.gettempdir(), os.devnull)
        self._on = False
        self._seen: list[str] = []
        sys.addaudithook(self._hook)

    @contextmanager
    def attempt(self) -> Iterator[list[str]]:
        """While an attempt is made; gives what was done that should not be, once it is over."""
        self._seen, found = [], []
        self._on = True
        try:
            yield found
        finally:
            self._on = False
            found += self._seen
            for folder in self._empty:
                found += [f"left {path}" for path in folder.rglob("*")]

    def _hook(self, event: str, given: tuple[Any, ...]) -> None:
        if not self._on:
            return
        try:
            if (
                event in _ALWAYS
                or event in _NETWORK
                or (event == "subprocess.Popen" and apart._START not in given[1])
                or (event == "pickle.find_class" and not _by_numba())
            ):
                self._seen.append(f"{event} {given!r:.200}")
            elif event == "open" and given[0] == self._secret:
                self._seen.append("read the secret")
            elif event == "open" and isinstance(given[2], int) and given[2] & _WRITES:
                self._place(event, given[0])
            elif event in _PLACES and not self._within_folder(given):
                for place in given[: _PLACES[event]]:
                    self._place(event, place)
        except Exception as error:
            self._seen.append(f"the watch failed: {error!r}")

    @staticmethod
    def _within_folder(given: tuple[Any, ...]) -> bool:
        """Whether a place is told relative to an open folder, whose opening was seen."""
        return isinstance(given[-1], int) and given[-1] > 2 and not os.path.isabs(given[0])

    def _place(self, event: str, place: Any) -> None:
        if isinstance(place, int):
            return
        path = os.path.abspath(os.fsdecode(place))
        compiled = "__pycache__" in path.split(os.sep)
        if not compiled and not any(
            path == may or path.startswith(may + os.sep) for may in self._may
        ):
            self._seen.append(f"{event} {path}")


def _by_numba() -> bool:
    """Whether it is Numba that reads compiled loops from its cache."""
    frame: Any = sys._getframe(1)
    while frame is not None and not frame.f_globals.get("__name__", "").startswith("numba."):
        frame = frame.f_back
    return frame is not None
