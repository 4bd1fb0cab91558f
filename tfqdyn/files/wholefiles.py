"""Files that are there whole or not at all, in folders that one process writes to at a time.

A file is written under a temporary name beside it, brought to the disk and renamed: whatever kills
the process, or the machine, leaves the old file or the new one. What a killed process left under
temporary names is removed when its folder is next prepared for writing.
"""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Collection, Iterator
from pathlib import Path

LOCK = ".tfqdyn.lock"
_PARTIAL = ".tfqdyn-"
"""How temporary names begin."""


class WriteError(OSError):
    """Something cannot be written; the message names it and says why."""


class InUseError(OSError):
    """Another process writes to the folder."""


def write(path: Path, content: bytes) -> None:
    """Writes a file whole.

    Raises:
        WriteError: see `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path of the same suffix; what is written there becomes `path`, on disk.

    Where the block raises, `path` stays as it was and nothing is left of the temporary file.

    Raises:
        WriteError: the disk is full, or refuses the file for another reason.
    """
    temporary = path.with_name(f"{_PARTIAL}{secrets.token_hex(4)}-{path.name}")
    try:
        with _explained(path):
            yield temporary
            _to_disk(temporary)
            temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # some file systems cannot do that with folders
        _to_disk(path.parent)


def prepare(folder: Path, without: Collection[str] = ()) -> Path:
    """The folder, made if missing, without what killed processes left under temporary names.

    Args:
        folder: this process alone writes to it.
        without: names of files to remove as well: what an earlier run came to.

    Raises:
        WriteError: it cannot be made or written to.
    """
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path in [*folder.glob(f"{_PARTIAL}*"), *(folder / name for name in without)]:
            path.unlink(missing_ok=True)
    return folder


@contextlib.contextmanager
def claimed(folder: Path, wait: bool = False) -> Iterator[Path]:
    """Prepares a folder and keeps other processes out until the block, or this process, ends.

    The lock is the operating system's: it is freed however the process ends. Folders that were made
    for it and in which nothing was written are removed again.

    Args:
        folder: what to write to.
        wait: for a process that has it, instead of an error.

    Raises:
        InUseError: another process has it.
        WriteError: it cannot be made or written to.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    lock = folder / LOCK
    try:
        with _explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            handle = _locked(lock, wait)
        try:
            yield prepare(folder)
        finally:
            lock.unlink(missing_ok=True)
            os.close(handle)
    finally:
        for path in made:
            with contextlib.suppress(OSError):  # it holds something, or was never made
                path.rmdir()


def _locked(path: Path, wait: bool) -> int:
    """A lock file, opened and locked; it holds the process' number."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, handle):
                os.ftruncate(handle, 0)
                os.write(handle, str(os.getpid()).encode())
                return handle
        except BlockingIOError as error:
            owner = os.read(handle, 20).decode()
            os.close(handle)
            raise InUseError(
                f"{path.parent} is in use by another process{owner and f' ({owner})'}; "
                "wait for it, or name another folder"
            ) from error
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # who had it has removed the file


def _is_at(path: Path, handle: int) -> bool:
    """Whether a path still names the file that is open."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns what the operating system says into an error that names the path."""
    try:
        yield
    except (WriteError, InUseError):
        raise
    except OSError as error:
        raise WriteError(f"{path} cannot be written: {error.strerror or error}") from error


def _to_disk(path: Path) -> None:
    """Waits until a file's bytes, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
