"""The command `kernels`: one .tflite file on several sets of kernels, and on what devices dumped.

OUT/kernels.json    every figure
OUT/kernels.csv     a line for each operator and engine
OUT/kernels.html    the page
OUT/inputs_K.npy    what every engine read as the file's K-th input, for a device to read the same
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from tfqdyn import datasets
from tfqdyn.config import AnalysisConfig
from tfqdyn.console import Progress, silent
from tfqdyn.datasets import Dataset
from tfqdyn.engines import dumps, feeding
from tfqdyn.engines.answers import classes_of
from tfqdyn.engines.comparison import Subject, compare
from tfqdyn.engines.feeding import Feed
from tfqdyn.files import wholefiles
from tfqdyn.files.wholefiles import replacing
from tfqdyn.measurement import sampling
from tfqdyn.report.kernelspage import write_page
from tfqdyn.results.kernelrecords import EngineRecord, KernelsRecord
from tfqdyn.show import kernelstables
from tfqdyn.tflite.file import TfliteModel, parse, read

COLUMNS = (
    "engine", "operator", "kind", "tensor", "dtype", "values", "differing", "largest_steps",
    "alone_values", "alone_differing", "alone_largest_steps", "cause", "milliseconds", "delegated",
    "refused",
)  # fmt: skip


def image_size(model: TfliteModel) -> tuple[int, int] | None:
    """The height and width that the file's first input of images has; None where it has none."""
    shapes = (model.tensors[index].shape for index in model.inputs)
    return next(((s[1], s[2]) for s in shapes if len(s) == 4), None)


def kernels(
    path: Path,
    dataset: Dataset,
    engines: Sequence[str],
    folders: Sequence[Path],
    config: AnalysisConfig,
    runs: int,
    out: Path,
    progress: Progress = silent,
) -> KernelsRecord:
    """Compares engines and dumps on one file, and writes what it comes to.

    Args:
        path: the .tflite file.
        dataset: images or arrays that its inputs take.
        engines: names of `engines.catalogue.ENGINES`; the first that runs the file is the base.
        folders: of dumps.
        config: preprocessing, and how many images are drawn with which seed.
        runs: of which a latency is the median.
        out: the folder for the results.
        progress: wraps the loop over chunks.

    Raises:
        TfliteFileError, DataError, DumpError, ValueError: before any slow work.
    """
    content = read(path)
    model = parse(content)
    arrays = feeding.arrays_of(model, dataset.x_test)
    feeding.check(model, arrays, dataset.name, config.preprocessing)
    labels = _labels(dataset, model)
    given = [dumps.read(folder, model) for folder in folders]
    names = [*engines, *(dump.name for dump in given)]
    if len(set(names)) < len(names):
        raise ValueError(f"expected engines and dumps of different names, received {names}")
    indices = sampling.scored_images(dataset, config)
    feed = Feed(model, arrays, indices, config.preprocessing)
    wholefiles.prepare(out, ("kernels.json", "kernels.csv", "kernels.html"))
    _write_inputs(feed, len(model.inputs), out)
    chosen = None if labels is None else labels[indices]
    subject = Subject(path.name, content, dataset.name, feed, chosen)
    record = compare(subject, engines, given, runs, progress)
    wholefiles.write(out / "kernels.csv", to_csv(record).encode())
    write_page(record, out / "kernels.html")
    wholefiles.write(out / "kernels.json", record.to_json().encode())
    return record


def _labels(dataset: Dataset, model: TfliteModel) -> NDArray[np.int64] | None:
    """Labels of classes for a file that gives one score per class; else None.

    Raises:
        DataError: labels that the file has no class for.
    """
    y, classes = dataset.y_test, classes_of(model)
    if y is None or classes is None or y.ndim != 1 or y.dtype.kind not in "ui":
        return None
    datasets.check_classes(replace(dataset, x_train=None, y_train=None), max(2, classes))
    return y


def _write_inputs(feed: Feed, count: int, out: Path) -> None:
    """The inputs as `.npy` files [runs, ...], written run by run: they need not fit into memory."""
    first = feed.runs(0, 1)[0]
    for position in range(count):
        with replacing(out / f"inputs_{position}.npy") as temporary:
            shape = (len(feed), *first[position].shape)
            held = np.lib.format.open_memmap(temporary, "w+", first[position].dtype, shape)
            for k in range(len(feed)):
                held[k] = feed.runs(k, k + 1)[0][position]
            held.flush()


def tables_of(record: KernelsRecord) -> list[Table]:
    """What the terminal shows."""
    return [kernelstables.engines_table(record), kernelstables.kinds_table(record)]


def to_csv(record: KernelsRecord) -> str:
    """The operators of every engine, a line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for engine in record.engines:
        writer.writerows(_lines(record, engine))
    return text.getvalue()


def _lines(record: KernelsRecord, engine: EngineRecord) -> list[list[object]]:
    found = []
    for figures in engine.operators:
        operator = record.operators[figures.index]
        counts: list[object] = []
        for counted in (figures.chained, figures.alone):
            if counted is None:
                counts += ["", "", ""]
            else:
                counts += [counted.values, counted.differing, counted.largest]
        ends = [figures.milliseconds, figures.delegated, figures.refused]
        found.append(
            [engine.name, operator.index, operator.kind, operator.name, operator.dtype, *counts,
             figures.cause, *("" if end is None else end for end in ends)]
        )  # fmt: skip
    return found
