"""Files whole or not at all; one process a folder; what a full disk says."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import complaints, images, residual_net

from tfqdyn.files import wholefiles
from tfqdyn.files.wholefiles import InUseError, WriteError, claimed, prepare, replacing

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from tfqdyn.files.wholefiles import claimed
with claimed(Path(sys.argv[1])):
    print("claimed", flush=True)
    time.sleep(600)
"""


def test_a_block_that_raises_leaves_the_old_file(tmp_path: Path) -> None:
    def stopped() -> None:
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_bytes(b"new, but not whole")
            raise RuntimeError("stop")

    wholefiles.write(tmp_path / "a.txt", b"old")
    with pytest.raises(RuntimeError, match="stop"):
        stopped()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.txt": b"old"}


def test_bytes_are_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch) -> None:
    events: list[tuple[str, object]] = []
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        events.append(("sync", os.fstat(handle).st_ino))
        fsync(handle)

    def renamed(path: Path, target: Path) -> Path:
        events.append(("rename", path.stat().st_ino))
        return replace(path, target)

    monkeypatch.setattr("os.fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    wholefiles.write(tmp_path / "a", b"x")
    file, folder = (tmp_path / "a").stat().st_ino, tmp_path.stat().st_ino
    assert events == [("sync", file), ("rename", file), ("sync", folder)]


def test_files_are_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    wholefiles.write(tmp_path / "ours", b"")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    """/dev/full answers every write with the error of a full disk."""

    def full() -> None:
        with replacing(tmp_path / "a") as temporary:
            temporary.symlink_to("/dev/full")
            temporary.write_bytes(b"new")

    wholefiles.write(tmp_path / "a", b"old")
    message = rf"^{tmp_path}/a cannot be written: No space left on device$"
    with pytest.raises(WriteError, match=message):
        full()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/none"])
def test_a_folder_that_cannot_be_made_is_named(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=f"{place} cannot be written: "):
        prepare(tmp_path / place)
    with pytest.raises(WriteError, match=f"{place} cannot be written: "), claimed(tmp_path / place):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_killed_processes_left_goes_and_nothing_else(tmp_path: Path) -> None:
    writer = (
        "import os, sys; from pathlib import Path; from tfqdyn.files.wholefiles import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = [sys.executable, "-c", writer, str(tmp_path / "results.json")]
    assert subprocess.run(killed, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.endswith("-results.json")
    assert left.read_bytes() == b"half"
    for name in ("notes.txt", ".hidden", "old.csv"):
        (tmp_path / name).touch()
    prepare(tmp_path, without=("old.csv", "never.csv"))
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", ".hidden"}


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """Another process, which has claimed a folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "out")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "claimed\n"
    with process:
        yield process
        process.kill()


def test_a_second_process_is_refused_until_the_first_dies(tmp_path: Path, holder) -> None:
    (tmp_path / "out" / ".tfqdyn-1234-a").write_bytes(b"the first process writes this")
    message = rf"out is in use by another process \({holder.pid}\); wait for it, or name another"
    with pytest.raises(InUseError, match=message), claimed(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / ".tfqdyn-1234-a").exists()
    holder.kill()
    holder.wait()
    with claimed(tmp_path / "out") as out:
        wholefiles.write(out / "a", b"x")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


def test_waiting_ends_when_the_first_process_dies(tmp_path: Path, holder) -> None:
    waiter = HOLD.replace("(sys.argv[1])", "(sys.argv[1]), wait=True").replace("600", "0")
    command = [sys.executable, "-c", waiter, str(tmp_path / "out")]
    second = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(timeout=1)
    holder.kill()
    assert second.wait(timeout=60) == 0
    assert not (tmp_path / "out" / wholefiles.LOCK).exists()


def test_a_claim_leaves_nothing_behind(tmp_path: Path) -> None:
    with claimed(tmp_path / "a" / "b") as out:
        assert {path.name for path in out.iterdir()} == {wholefiles.LOCK}
    assert not (tmp_path / "a").exists()
    with claimed(tmp_path / "a" / "b") as out:
        wholefiles.write(out / "c", b"")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["c"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    keras.utils.set_random_seed(1)
    residual_net().save(tmp_path / "m.keras")
    data = images(12)
    np.savez(tmp_path / "d.npz", x_test=data.x_test, y_test=data.y_test)
    return tmp_path


def analyze(files: Path) -> list[str]:
    return [
        sys.executable, "-m", "tfqdyn.cli", "analyze", f"--model={files}/m.keras",
        f"--data={files}/d.npz", f"--out={files}/out", "--trials=1", "--calibration_size=4",
    ]  # fmt: skip


def test_a_command_in_a_folder_in_use_is_refused_at_once(files: Path, holder) -> None:
    done = subprocess.run(analyze(files), cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"tfqdyn: {files}/out is in use by another process ({holder.pid}); wait for it, or name "
        "another folder\n"
    )


UNSHARE = ("unshare", "--mount", "--map-root-user", "sh", "-c")


def can_mount() -> bool:
    """Whether this user may mount a small disk of its own."""
    if not shutil.which("unshare"):
        return False
    trial = [*UNSHARE, "mount -t tmpfs none /mnt"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="mounting takes user namespaces")
def test_a_full_disk_is_one_clear_error(files: Path) -> None:
    """On a disk of 12 kB, of which the .tflite file alone takes more."""
    out = files / "out"
    out.mkdir()
    script = f'mount -t tmpfs -o size=12k none {out} && "$@"; status=$?; ls -A {out}; exit $status'
    command = [*UNSHARE, script, "sh", *analyze(files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""  # nothing is left on the disk, and no table was printed
    (line,) = complaints(done.stderr).splitlines()
    assert line.startswith(f"tfqdyn: {out}/")
    assert line.endswith(" cannot be written: No space left on device")
