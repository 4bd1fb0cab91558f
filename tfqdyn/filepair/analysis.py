"""The analysis of two files: every stage in its order.

open -> match -> try in processes of their own -> calibrate -> compare -> assemble
"""

import math
import platform
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

import tfqdyn
from tfqdyn import datasets
from tfqdyn.config import AUTO, DEFAULTS, AnalysisConfig
from tfqdyn.console import Progress, silent
from tfqdyn.datasets import Dataset
from tfqdyn.filepair.measuring import Bench, Compared, Comparison, ranges_of
from tfqdyn.filepair.outputs import summary_of
from tfqdyn.filepair.pairing import Pair, paired
from tfqdyn.filepair.rows import kernel_stats
from tfqdyn.filepair.tasks import NONE, Plan, metrics_of, planned
from tfqdyn.measurement import assembly, sampling
from tfqdyn.measurement.layerrows import Kernels, RowTrials, layer_result, scale_and_zero
from tfqdyn.network.folding import ORIGINAL
from tfqdyn.quantization.calibration import SiteRange
from tfqdyn.results import DataRecord, InputRecord, LayerResult, ModelRecord, RunResult
from tfqdyn.tflite import interpreter

SCHEME = "tflite"
"""What `config` calls the scheme of a file that was there already."""


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
        measured = _measured(pair, dataset, plan, config, executor, progress)
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
        data=_data_record(pair, dataset, measured),
        summary=replace(
            summary_of(measured.compared.outputs, plan.answers, measured.scored),
            task=plan.task,
            metrics=metrics_of(plan),
        ),
        layers=_layers(pair, measured.sites, measured.compared, config),
        skipped=pair.skipped,
        notes=_notes(pair, measured.overlaps(dataset), labels is not None and plan.task == NONE),
        tflite=(quantized,),
    )


@dataclass(frozen=True, eq=False)
class _Measured:
    """What both passes over the data came to.

    Attributes:
        drawn, scored: positions of the samples that ranges are of, and of those compared.
        sites: the calibrated range of every row.
        compared: rows and outputs, held against each other.
    """

    drawn: NDArray[np.int64]
    scored: NDArray[np.int64]
    sites: Sequence[SiteRange]
    compared: Compared

    def overlaps(self, dataset: Dataset) -> bool:
        """Whether ranges are of samples that are scored, too."""
        same = sampling.calibration_split(dataset) == "x_test"
        return same and bool(np.isin(self.drawn, self.scored).any())


def _measured(
    pair: Pair,
    dataset: Dataset,
    plan: Plan,
    config: AnalysisConfig,
    executor: ThreadPoolExecutor,
    progress: Progress,
) -> _Measured:
    """Calibrates the float file's rows, then compares rows and outputs."""
    drawn = sampling.calibration_draws(dataset, config)[0]
    scored = sampling.scored_images(dataset, config)
    bench = Bench(executor, min(config.threads, config.batch_size), pair.at_once)
    images = sampling.calibration_images(dataset)
    stream = partial(datasets.chunks, size=bench.chunk, mode=config.preprocessing)
    chunks = progress(stream(images, drawn), "calibrate", math.ceil(len(drawn) / bench.chunk))
    sites = ranges_of(pair.reference, pair.rows, chunks, len(drawn), config, bench)
    comparison = Comparison(pair.reference, pair.quantized, pair.rows, plan, sites, config, bench)
    chunks = stream(dataset.x_test, scored)
    for chunk in progress(chunks, "compare layers", math.ceil(len(scored) / bench.chunk)):
        comparison.add(*chunk)
    return _Measured(drawn, scored, sites, comparison.compared)


def _layers(
    pair: Pair, sites: Sequence[SiteRange], compared: Compared, config: AnalysisConfig
) -> tuple[LayerResult, ...]:
    found = []
    for i, row in enumerate(pair.rows):
        stats = None
        if row.node.has_kernel:
            stats = kernel_stats(pair.reference.flow, row.step, config.bins)
        found.append(
            layer_result(
                row.node,
                ORIGINAL,
                RowTrials([sites[i]], [compared.pairs[i]], [scale_and_zero(row.params)]),
                compared.values[i],
                None if stats is None else Kernels(stats, stats),
                row.held,
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


def _data_record(pair: Pair, dataset: Dataset, measured: _Measured) -> DataRecord:
    scored, labels = measured.scored, dataset.y_test
    inputs = tuple(
        InputRecord(port.name, float(np.sqrt(np.concatenate(powers).mean())))
        for port, powers in zip(pair.reference.inputs, measured.compared.powers, strict=True)
    )
    digests = measured.compared.digests
    return DataRecord(
        name=dataset.name,
        images=len(scored),
        sha256=(assembly.digest_of(digests, None if labels is None else labels[scored]),),
        input=inputs[0],
        scored=(tuple(scored.tolist()),),
        calibration_split=sampling.calibration_split(dataset),
        calibration_images=(tuple(measured.drawn.tolist()),),
        inputs=inputs,
    )


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
