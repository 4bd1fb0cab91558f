"""`tfqdyn kernels`."""

from pathlib import Path

from tfqdyn.cli import inputs
from tfqdyn.cli.command import Command, Given, Outcome
from tfqdyn.cli.flags import Flag, UsageError
from tfqdyn.config import AnalysisConfig
from tfqdyn.console import progress_bar, stage

_SETTINGS = tuple(
    flag for flag in inputs.SETTINGS if flag.name in ("preprocessing", "max_images", "seed")
)


def run(given: Given) -> Outcome:
    """Compares engines on one file; no TensorFlow is loaded."""
    try:
        config = AnalysisConfig(**{flag.name: given[flag.name] for flag in _SETTINGS})
    except ValueError as error:
        raise UsageError(str(error)) from error
    stage("read file and data")
    from tfqdyn import datasets
    from tfqdyn.commands import kernels
    from tfqdyn.tflite.file import parse, read

    path = Path(given["model"])
    dataset = datasets.load(given["data"], kernels.image_size(parse(read(path))))
    folders = [Path(folder) for folder in given["dump"]]
    record = kernels.kernels(
        path, dataset, given["engines"], folders, config, given["runs"], given.out, progress_bar
    )
    written = ("kernels.html", "kernels.json", "kernels.csv")
    inputs_written = sorted(path.name for path in given.out.glob("inputs_*.npy"))
    return Outcome(tuple(kernels.tables_of(record)), record.notes, (*written, *inputs_written))


COMMAND = Command(
    "kernels",
    "one .tflite file on several sets of kernels: which operators differ",
    """
Runs a .tflite file on the same codes in several engines, each in a process of its own: the whole
file as applications run it, the whole file with every tensor kept, and every operator alone, from
what the first engine's operator read. Prints what differs, the first operator that does, and
whether that is its own doing; accuracy where there are labels. --dump adds tensors that a device
wrote. An engine that refuses the file, or crashes on it, gets a row that says so.

Writes kernels.html, kernels.json, kernels.csv, and inputs_0.npy, ...: what all engines read, for
a device to read the same.
""",
    "tfqdyn kernels --model=net.tflite --data=images.npz --preprocessing=tf --out=runs/kernels",
    (
        Flag("model", str, None, "A .tflite file, of any tool.", inputs.FILES, "FILE",
             required=True),
        inputs.DATA,
        inputs.OUT,
        Flag("dump", tuple, (), "Folders of tensors that devices wrote, each with a dump.json.",
             inputs.FILES),
        *_SETTINGS,
        Flag("engines", tuple, ("builtin", "reference", "xnnpack"), "Of builtin, reference, "
             "xnnpack and micro (pip install 'tfqdyn[micro]'); the others are held against the "
             "first that runs the file.", "Engines"),
        Flag("runs", int, 20, "A latency is the median of at most this many runs; 0 measures none.",
             "Engines"),
    ),
    run,
)  # fmt: skip
