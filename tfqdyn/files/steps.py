"""What a command finished before it was killed: its steps, in its folder until all is done.

A command that is started again with the same network, data and settings goes on behind the last
step; one with others begins anew. Steps are kept to the last digit, so that results do not tell
whether a run was cut.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tfqdyn.files import recordfile, wholefiles
from tfqdyn.files.recordfile import RecordFileError

FOLDER = ".unfinished"
IDENTITY = "identity.json"
T = TypeVar("T")


class Steps:
    """Finished steps of one command.

    Args:
        out: the command's folder, which it writes to alone; None keeps nothing.
        identity: all that decides what steps come to.
    """

    def __init__(self, out: Path | None, identity: Mapping[str, Any]) -> None:
        self._folder = None if out is None else out / FOLDER
        self._identity = json.dumps(identity, indent=1, default=str) + "\n"
        if self._folder is not None and self._folder.exists() and not self._of_this_command():
            shutil.rmtree(self._folder)

    def kept(self, name: str, kind: type[T]) -> T | None:
        """What a step came to, a dataclass; None if it is not finished.

        Raises:
            RecordFileError: the file is damaged.
        """
        path = self._path(name)
        if path is None or not path.exists():
            return None
        try:
            return recordfile.read(path, kind)
        except RecordFileError as error:
            raise RecordFileError(f"{error}; delete {path.parent} to begin anew") from error

    def keep(self, name: str, value: T) -> T:
        """Keeps what a step came to, instead of an earlier value; returns it."""
        path = self._path(name)
        if path is not None:
            wholefiles.prepare(path.parent)
            identity = path.with_name(IDENTITY)
            if not identity.exists():
                wholefiles.write(identity, self._identity.encode())
            recordfile.write(path, value)
        return value

    def once(self, name: str, kind: type[T], make: Callable[[], T]) -> T:
        """What a step came to if it is finished; else does it, and keeps that."""
        found = self.kept(name, kind)
        return self.keep(name, make()) if found is None else found

    def forget(self) -> None:
        """Removes all steps: the command is done."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, name: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{name}.npz"

    def _of_this_command(self) -> bool:
        path = self._folder and self._folder / IDENTITY
        return path is not None and path.exists() and path.read_text() == self._identity


NOTHING_KEPT = Steps(None, {})
"""For commands without a folder."""
