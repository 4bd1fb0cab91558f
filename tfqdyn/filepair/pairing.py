"""Two files of one network, opened, matched and tried, with data that fit them."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from tfqdyn import datasets
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset, Inputs
from tfqdyn.filepair.flow import MOVERS
from tfqdyn.filepair.matching import Matching, match
from tfqdyn.filepair.naming import names_of
from tfqdyn.filepair.outputs import Output, outputs_of
from tfqdyn.filepair.problems import unpaired
from tfqdyn.filepair.rows import Row, rows_of
from tfqdyn.filepair.side import Side, aligned, fitted_to, opened, tried
from tfqdyn.files import memory
from tfqdyn.measurement import sampling
from tfqdyn.tflite.file import TfliteFileError


@dataclass(frozen=True, eq=False)
class Pair:
    """Two files of one network, tried, with what they have in common.

    Attributes:
        reference, quantized: the float file and the quantized one.
        found: which step of the one is which of the other.
        rows, outputs: what is held against each other.
        skipped: steps without a row, with the reason.
        at_once: samples that one interpreter is given at a time.
    """

    reference: Side
    quantized: Side
    found: Matching
    rows: Sequence[Row]
    outputs: Sequence[Output]
    skipped: Mapping[str, str]
    at_once: int


def paired(
    reference: bytes,
    quantized: bytes,
    dataset: Dataset,
    config: AnalysisConfig,
    executor: ThreadPoolExecutor,
) -> tuple[Pair, Dataset]:
    """Two files with what they have in common, and the data as their inputs take them.

    Raises:
        TfliteFileError, PairingError, DataError: as `analysis.analyze`.
    """
    first = opened("float", reference)
    _refuse_quantized(first)
    second = aligned(first, opened("quantized", quantized))
    inputs = zip(first.inputs, second.inputs, strict=True)
    found = match(first.flow, second.flow, {a.tensor: b.tensor for a, b in inputs})
    names = names_of(first.flow)
    skipped = unpaired(found, names)
    first, second, dataset = _with_data(first, second, dataset)
    ours = [
        v for m in found.matches.values() if m.reference.kind not in MOVERS for v, _ in m.values
    ]
    theirs = [found.values[v] for v in ours]
    at_once = _at_once(first, ours, config)
    jobs = [
        executor.submit(tried, first, [*ours, *(p.tensor for p in first.outputs)], at_once),
        executor.submit(tried, second, [*theirs, *(p.tensor for p in second.outputs)], at_once),
    ]
    first, second = (job.result() for job in jobs)
    rows, apart = rows_of(found, names, first, second)
    outputs = outputs_of(found, first, second, dataset.y_test)
    moved = {names[index]: why for index, why in found.absorbed.items()}
    skipped = {**moved, **skipped, **{name: f"no tensor: {why}" for name, why in apart.items()}}
    return Pair(first, second, found, rows, outputs, skipped, at_once), dataset


def _refuse_quantized(side: Side) -> None:
    """Raises TfliteFileError where the float file is quantized itself."""
    model = side.flow.model
    made = [t for step in side.flow.steps for t in step.outputs]
    codes = [t for t in made if model.tensors[t].params is not None]
    if codes:
        raise TfliteFileError(
            f"expected a float file as the model, but {len(codes)} of the {len(made)} values that "
            f"it computes are quantized ({model.tensors[codes[0]].dtype}); give the float file "
            "that the quantized one was made of"
        )


def _with_data(first: Side, second: Side, dataset: Dataset) -> tuple[Side, Side, Dataset]:
    """The files and the data in one shape of samples."""
    held = dataset.x_test
    arrays = held.arrays if isinstance(held, Inputs) else {first.inputs[0].name: held}
    shapes = {name: tuple(map(int, array.shape[1:])) for name, array in arrays.items()}
    first = fitted_to(first, shapes)
    there = zip(second.inputs, first.inputs, strict=True)
    second = fitted_to(second, {a.name: b.shape[1:] for a, b in there})
    wanted = {}
    for port in first.inputs:
        whole = shapes.get(port.name) == port.shape and 0 not in port.free
        wanted[port.name] = port.shape if whole else port.shape[1:]
    if any(wanted[port.name] == port.shape and port.shape for port in first.inputs):
        first = replace(first, whole=True)
        second = replace(second, whole=True)
    return first, second, datasets.fitted(dataset, wanted)


def _at_once(side: Side, values: Sequence[int], config: AnalysisConfig) -> int:
    """How many samples one interpreter is given at a time, so that a chunk fits into memory.

    Raises:
        ValueError: the values of one sample would not.
    """
    bytes_each = 4 * sum(math.prod(side.tensor(value).shape[1:] or (1,)) for value in values) + 1
    if bytes_each > memory.total() // 2:
        raise ValueError(
            f"the values of one sample take {memory.words(bytes_each)}, more than half of the "
            f"memory here ({memory.words(memory.total())})"
        )
    most = max(1, config.batch_size // config.threads)
    return max(1, min(most, sampling.CHUNK_BYTES // (config.threads * bytes_each)))
