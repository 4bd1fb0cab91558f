"""Kills commands at random moments: nothing may be half-written, a last run must complete.

    python -m benchmarks.kills --kills=20

Each command runs once undisturbed, which tells when it writes and what it comes to. Then it is
started again and again in one folder and killed (SIGKILL) at moments drawn evenly from the time in
which it writes; a run that ends before its moment tells how long later ones of its sort take, those
that begin anew or those that go on behind what a killed one finished. Behind each kill every file
is opened and read to its end, and every run folder's tables must be those of its `results.json`. A
run that completes, the last one at least, must leave the files of the undisturbed one, byte for
byte but for times; the next begins anew. The exit status is 1 if anything was found. The network is
a small DWS-ConvNet with random weights, the images are scikit-learn's digits.
"""

import csv
import io
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from absl import app, flags

FLAGS = flags.FLAGS
ROOT = Path(__file__).parents[1]
ANALYSIS = ("--model={files}/net.keras", "--data={files}/data.npz", "--preprocessing=tf",
            "--trials=2", "--calibration_size=16", "--max_images=32", "--out={out}")  # fmt: skip
COMMANDS = {
    "analyze": ("tfqdyn.cli", "analyze", *ANALYSIS),
    "remedy": ("tfqdyn.cli", "remedy", *ANALYSIS,
               "--remedies=zero_variance,equalization,adaround,bias_correction"),
    "remedy auto": ("tfqdyn.cli", "remedy", *ANALYSIS, "--remedies=auto"),
    "sensitivity": ("tfqdyn.cli", "sensitivity", *ANALYSIS),
    "schemes": ("tfqdyn.cli", "schemes", *ANALYSIS, "--runs=3"),
    "qat": ("tfqdyn.cli", "qat", *ANALYSIS, "--epochs=4", "--train_images=256", "--layer_loss=0.1"),
    "qat int8": ("tfqdyn.cli", "qat", *ANALYSIS, "--epochs=4", "--train_images=256",
                 "--scheme=int8"),
    "experiments.run": ("experiments.run", "--artifact=mobilenets/table_1", "--scale=smoke",
                        "--workdir={out}"),
}  # fmt: skip
TIMED = {"schemes.json", "artifact.json", "done.json", "speed.csv", "run.json"}
"""Files that hold times; networks (`.keras`) hold the date."""
MINUTES = "train_minutes"
"""Column of an artifact's rows that holds a time."""
MOST_ENDED = 3
"""Runs that may complete before their moment comes, for each kill that is asked for."""
TEMPORARY = (".tfqdyn-", ".tfqdyn.lock")


def define_flags() -> None:
    """Defines the command line; a function, so that importing this module defines nothing."""
    flags.DEFINE_integer("kills", 20, "Kills of each command.", lower_bound=1)
    flags.DEFINE_list("commands", list(COMMANDS), "Which commands.")
    flags.DEFINE_integer("seed", 0, "Of the moments.")
    flags.DEFINE_integer("longest", 3600, "Seconds after which no command is started.")


def main(argv: list[str]) -> None:
    if len(argv) > 1 or set(FLAGS.commands) - set(COMMANDS):
        raise app.UsageError(f"--commands takes some of {list(COMMANDS)}, received {argv[1:]}")
    deadline = time.monotonic() + FLAGS.longest
    found: list[str] = []
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        files = Path(folder)
        make_files(files)
        print("| command | undisturbed, s | kills | completed | files read | problems |")
        print("|---|---|---|---|---|---|")
        for number, name in enumerate(FLAGS.commands):
            if time.monotonic() > deadline:
                found.append(f"{name}: not run, {FLAGS.longest} s are over")
                continue
            moments = random.Random(f"{FLAGS.seed} {name}")
            problems = disturbed(name, files, number, moments, FLAGS.kills)
            found += [f"{name}: {problem}" for problem in problems]
    print("\n".join(found) or "nothing half-written, every command completed")
    sys.exit(1 if found else 0)


def make_files(folder: Path) -> None:
    """The network and the images, made in a process of its own."""
    code = (
        "import sys, numpy as np; from pathlib import Path; import keras, models\n"
        "from tfqdyn import datasets\n"
        "folder = Path(sys.argv[1]); keras.utils.set_random_seed(0)\n"
        "build = models.BUILDERS['dws_convnet']\n"
        "build(input_shape=(32, 32, 3), num_classes=10, width=0.125).save(folder / 'net.keras')\n"
        "d = datasets.load('digits')\n"
        "np.savez(folder / 'data.npz', x_train=d.x_train, y_train=d.y_train, x_test=d.x_test,\n"
        "         y_test=d.y_test)\n"
    )
    made = [sys.executable, "-c", code, str(folder)]
    subprocess.run(made, cwd=ROOT, check=True, capture_output=True)


def disturbed(name: str, files: Path, number: int, moments: random.Random, times: int) -> list[str]:
    """Problems that kills of one command brought to light."""
    whole, out = files / f"{number}-whole", files / f"{number}-killed"
    first, last = undisturbed(name, files, whole)
    windows = dict.fromkeys(
        (False, True), (first, last)
    )  # of a run that begins, of one that goes on
    read = killed = ended = 0
    problems = check(whole)
    while killed < times and ended < MOST_ENDED * times:
        goes_on, began = out.exists(), time.monotonic()
        process = start(name, files, out)
        try:
            process.wait(timeout=moments.uniform(*windows[goes_on]))
            took = time.monotonic() - began
            windows[goes_on] = (min(first, took / 2), took)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        errors = process.communicate()[1]
        if process.returncode not in (0, -signal.SIGKILL):
            problems.append(f"exit status {process.returncode}: {errors}")
        problems += check(out)
        read += sum(path.is_file() for path in out.rglob("*"))
        killed += process.returncode == -signal.SIGKILL
        if process.returncode == 0:
            ended += 1
            problems += differences(whole, out)
            shutil.rmtree(out)
    process = start(name, files, out)
    errors = process.communicate()[1]
    if process.returncode:
        problems.append(f"the last run: exit status {process.returncode}: {errors}")
    problems += check(out) + differences(whole, out)
    if killed < times:
        problems.append(f"only {killed} of {times} runs were killed before they ended")
    print(f"| {name} | {last:.0f} | {killed} | {ended} | {read} | {len(problems)} |")
    return list(dict.fromkeys(problems))


def undisturbed(name: str, files: Path, out: Path) -> tuple[float, float]:
    """Runs a command; (when it began to write, when it ended), in seconds from its start."""
    began = time.monotonic()
    process = start(name, files, out)
    first = None
    while process.poll() is None:
        if first is None and any(not path.name.startswith(TEMPORARY) for path in names(out)):
            first = time.monotonic() - began
        time.sleep(0.02)
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{name} undisturbed: exit status {process.returncode}: {errors}")
    last = time.monotonic() - began
    return last if first is None else first, last


def names(folder: Path) -> list[Path]:
    return list(folder.rglob("*")) if folder.exists() else []


def start(name: str, files: Path, out: Path) -> subprocess.Popen[str]:
    command = [part.format(files=files, out=out) for part in COMMANDS[name]]
    return subprocess.Popen(
        [sys.executable, "-m", *command, "--verbosity=-1"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def check(folder: Path) -> list[str]:
    """What is wrong with a folder's files; what has a temporary name is nobody's business."""
    return [problem for path in names(folder) for problem in problems_of(path)]


def problems_of(path: Path) -> Iterator[str]:
    if not path.is_file() or path.name.startswith(TEMPORARY):
        return
    if path.suffix not in READERS:
        yield f"{path.name} is no file that a command writes"
        return
    try:
        READERS[path.suffix](path.read_bytes())
    except Exception as error:  # whatever a half-written file leads a reader to
        yield f"{path.name} is half-written: {error!r}"
        return
    if path.name == "results.json":
        from tfqdyn.results import layercsv, restore

        written = {file.name for file in path.parent.glob("trial_*.tflite")}
        result = restore.load(path.parent)
        accuracy = result.summary.quantized_accuracy
        assert accuracy is not None, "runs of these tests have labels"
        trials = len(accuracy.trials)
        if written and written != {f"trial_{trial}.tflite" for trial in range(trials)}:
            yield f"{path.parent.name} has {sorted(written)} for {trials} trials"
        if (path.parent / "layers.csv").read_text() != layercsv.text(result.layers):
            yield f"{path.parent.name}: layers.csv and results.json are of two runs"


def read_csv(content: bytes) -> None:
    rows = list(csv.reader(io.StringIO(content.decode())))
    assert content.endswith(b"\n")
    assert rows
    assert {len(row) for row in rows} == {len(rows[0])}


def read_zip(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None


def read_tflite(content: bytes) -> None:
    from tfqdyn.tflite import file

    file.parse(content)


def read_png(content: bytes) -> None:
    assert content.startswith(b"\x89PNG")
    assert content.endswith(b"IEND\xaeB`\x82")


def read_html(content: bytes) -> None:
    assert content.rstrip().endswith(b"</html>")


READERS = {
    ".csv": read_csv,
    ".html": read_html,
    ".json": json.loads,
    ".keras": read_zip,
    ".npz": read_zip,
    ".png": read_png,
    ".svg": ElementTree.fromstring,
    ".tflite": read_tflite,
}


def differences(whole: Path, out: Path) -> list[str]:
    """What a killed and completed command left that an undisturbed one does not."""
    expected, found = (
        {str(p.relative_to(f)) for p in names(f) if p.is_file()} for f in (whole, out)
    )
    problems = [f"{name} is missing" for name in sorted(expected - found)]
    problems += [f"{name} is left over" for name in sorted(found - expected)]
    for name in sorted(expected & found):
        timed = Path(name).name in TIMED or name.endswith((".keras", ".npz"))
        if not timed and untimed(whole / name) != untimed(out / name):
            problems.append(f"{name} differs from that of the undisturbed run")
    return problems


def untimed(path: Path) -> Any:
    """What a file says, without times, and without the folders that the command named."""
    if path.name == "results.json":
        record = json.loads(path.read_text())
        return {key: value for key, value in record.items() if key != "paths"}
    if path.name != "rows.csv":
        return path.read_bytes()
    rows = csv.DictReader(io.StringIO(path.read_bytes().decode()))
    return [{key: value for key, value in row.items() if key != MINUTES} for row in rows]


if __name__ == "__main__":
    define_flags()
    app.run(main)
