"""The analysis of two files: every stage in its order.

open -> match -> try in processes of their own -> calibrate -> compare -> assemble
"""

import math
import platform
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

import tfqdyn
from tfqdyn import datasets
from tfqdyn.config import AUTO, DEFAULTS, AnalysisConfig
from tfqdyn.console import Progress, silent
from tfqdyn.datasets import Dataset, Inputs
from tfqdyn.filepair.flow import MOVERS
from tfqdyn.filepair.matching import Matching, match
from tfqdyn.filepair.measuring import Bench, Compared, Comparison, ranges_of
from tfqdyn.filepair.naming import names_of
from tfqdyn.filepair.outputs import Output, outputs_of, summary_of
from tfqdyn.filepair.problems import unpaired
from tfqdyn.filepair.rows import Row, kernel_stats, rows_of
from tfqdyn.filepair.side import Side, aligned, fitted_to, opened, tried
from tfqdyn.filepair.tasks import NONE, metrics_of, planned
from tfqdyn.files import memory
from tfqdyn.measurement import assembly, sampling
from tfqdyn.network.folding import ORIGINAL
from tfqdyn.quantization.calibration import SiteRange
from tfqdyn.results import DataRecord, InputRecord, LayerResult, ModelRecord, RunResult
from tfqdyn.tflite import interpreter
from tfqdyn.tflite.file import TfliteFileError

SCHEME = "tflite"
"""What `config` calls the scheme of a file that was there already."""


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


def analyze(
    reference: bytes,
    quantized: bytes,
    dataset: Dataset,
    config: AnalysisConfig = DEFAULTS,
    progress: Progress = silent,
) -> RunResult:
    """What quantization did to a network, from its float .tflite file and the quantized one.

    Args:
        reference: the float file; its values are the fp32 ones.
        quantized: the file that some tool made of it: int8, 16 bits, dynamic range, float16.
        dataset: data of the files' inputs, with labels or without. A random draw of
            `calibration_size` samples gives the float activations' ranges.
        config: see `AnalysisConfig`; `trials` and `scheme` play no role.
        progress: wraps the long loops.

    Raises:
        ValueError: a simulation or own errors are asked for, which need a network of our making.
        TfliteFileError: a file is damaged, has operators that are not TFLite's own, or does not
            run; the first one is no float file.
        PairingError: the files are not of one network; the first layer that differs is named.
        DataError: the data are not of these files.
        OverflowedError: values of a layer are NaN or infinite.
    """
    config = config.of_given_file
    if config.preprocessing == AUTO:
        raise ValueError(
            f"preprocessing={AUTO!r} needs a Keras model, whose batch norms tell; name the "
            f"preprocessing of the two files' data: one of {sorted(datasets.PREPROCESSING)}"
        )
    with ThreadPoolExecutor(config.threads) as executor:
        pair, dataset = paired(reference, quantized, dataset, config, executor)
        labels = dataset.y_test
        plan = planned(pair.outputs, labels, config)
        drawn = sampling.calibration_draws(dataset, config)[0]
        scored = sampling.scored_images(dataset, config)
        bench = Bench(executor, min(config.threads, config.batch_size), pair.at_once)
        images = sampling.calibration_images(dataset)
        stream = partial(datasets.chunks, size=bench.chunk, mode=config.preprocessing)
        chunks = progress(
            stream(images, drawn), "calibrate", math.ceil(len(drawn) / bench.chunk)
        )  # fmt: skip
        sites = ranges_of(pair.reference, pair.rows, chunks, len(drawn), config, bench)
        comparison = Comparison(
            pair.reference, pair.quantized, pair.rows, plan, sites, config, bench
        )
        chunks = stream(dataset.x_test, scored)
        for chunk in progress(chunks, "compare layers", math.ceil(len(scored) / bench.chunk)):
            comparison.add(*chunk)
    compared = comparison.compared
    split = sampling.calibration_split(dataset)
    overlap = split == "x_test" and bool(np.isin(drawn, scored).any())
    inputs = tuple(
        InputRecord(port.name, float(np.sqrt(np.concatenate(powers).mean())))
        for port, powers in zip(pair.reference.inputs, compared.powers, strict=True)
    )
    return RunResult(
        config=asdict(config)
        | {
            "scheme": SCHEME,
            "calibrator": config.rule.name,
            "percentile": config.rule.percentile,
        },
        seed=config.seed,
        versions=_versions(),
        model=_model_record(pair),
        data=DataRecord(
            name=dataset.name,
            images=len(scored),
            sha256=(_digest(compared, None if labels is None else labels[scored]),),
            input=inputs[0],
            scored=(tuple(scored.tolist()),),
            calibration_split=split,
            calibration_images=(tuple(drawn.tolist()),),
            inputs=inputs,
        ),
        summary=replace(
            summary_of(compared.outputs, plan.answers, scored),
            task=plan.task,
            metrics=metrics_of(plan),
        ),
        layers=_layers(pair, sites, compared, config),
        skipped=pair.skipped,
        notes=_notes(pair, overlap, labels is not None and plan.task == NONE),
        tflite=(quantized,),
    )


def paired(
    reference: bytes,
    quantized: bytes,
    dataset: Dataset,
    config: AnalysisConfig,
    executor: ThreadPoolExecutor,
) -> tuple[Pair, Dataset]:
    """Two files with what they have in common, and the data as their inputs take them.

    Raises:
        TfliteFileError, PairingError, DataError: as `analyze`.
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


def _layers(
    pair: Pair, sites: Sequence[SiteRange], compared: Compared, config: AnalysisConfig
) -> tuple[LayerResult, ...]:
    found = []
    for i, row in enumerate(pair.rows):
        stats = None
        if row.node.has_kernel:
            stats = kernel_stats(pair.reference.flow, row.step, config.bins)
        found.append(
            assembly.layer_result(
                row.node,
                ORIGINAL,
                [sites[i]],
                [compared.pairs[i]],
                compared.values[i],
                None if stats is None else (stats, stats),
                None,
                row.held,
                [assembly.scale_and_zero(row.params)],
            )
        )
    return tuple(found)


def _model_record(pair: Pair) -> ModelRecord:
    flow = pair.reference.flow
    stored = {
        tensor.index: tensor.data.size
        for step in flow.steps
        for tensor in flow.constants(step).values()
        if tensor.data is not None and tensor.data.dtype.kind == "f"
    }
    parameters = sum(stored.values())
    return ModelRecord(
        name="network",
        parameters=parameters,
        macs=sum(row.node.macs for row in pair.rows),
        bytes_fp32=4 * parameters,
        bytes_quantized=len(pair.quantized.content),
        weight_ties=(0,),
    )


def _digest(compared: Compared, labels: Any) -> str:
    return assembly.digest_of(compared.digests, labels)


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "tfqdyn": tfqdyn.__version__,
        "interpreter": interpreter.name(),
    }


def _notes(pair: Pair, overlap: bool, unused: bool) -> tuple[str, ...]:
    found = ["Calibration drew from the scored images: no x_train."] if overlap else []
    if unused:
        found.append("The labels were not held against any output; --task says what they are.")
    for side in (pair.reference, pair.quantized):
        others = [s.key for s in side.signatures if s.subgraph != 0]
        if others:
            found.append(
                f"The {side.which} file has further signatures, which were not analyzed: "
                f"{', '.join(others)}."
            )
    return tuple(found)
