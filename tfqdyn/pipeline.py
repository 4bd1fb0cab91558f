"""The analysis: every stage in its order, nothing else.

lower -> fold -> calibrate -> convert and pair -> measure -> assemble
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn import datasets, deployment
from tfqdyn.config import DEFAULTS, AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.files import memory
from tfqdyn.measurement import assembly, summary
from tfqdyn.measurement.capture import KerasActivations
from tfqdyn.measurement.layerstats import HistogramConfig
from tfqdyn.measurement.ownerror import OwnSums, OwnTrial, measure_own, with_own
from tfqdyn.measurement.reference import Reference
from tfqdyn.measurement.streaming import Measured, Trial, Workers, measure
from tfqdyn.network.folding import REMEDIED, Folded, fold_batchnorm
from tfqdyn.network.graph import Graph, LayerNode, layers_of
from tfqdyn.network.lowering import lower
from tfqdyn.quantization.calibration import SiteRange, calibrate, draw
from tfqdyn.quantization.conversion import (
    Converted,
    adopt,
    check_layers,
    to_cut_tflite,
)
from tfqdyn.results import RunResult
from tfqdyn.schemes import GRAPH_TRANSFORM_TOOL, SCHEMES
from tfqdyn.tflite.interpreter import rehearse

CHUNK_BYTES = 64 * 2**20
"""How many bytes of fp32 activations one chunk of images may take."""
SCORED_BYTES = 3 * CHUNK_BYTES // 2
"""The same for images that are scored; conversion is over then."""


def silent(items: Iterable[Any], what: str, total: int) -> Iterable[Any]:
    """No progress bar."""
    return items


Progress = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Wraps a loop: (items, what they are, how many); yields the items."""


def analyze(
    model: Any,
    dataset: Dataset,
    config: AnalysisConfig = DEFAULTS,
    progress: Progress = silent,
) -> RunResult:
    """What 8-bit inference does to a trained Keras classifier, layer by layer.

    Args:
        model: functional or sequential, Keras 3 or tf_keras; one input, one score a class out.
        dataset: images of the model's input shape; calibration draws from `calibration_split`.
        config: see `AnalysisConfig`.
        progress: wraps the long loops.

    Raises:
        UnsupportedModelError, DataError, ValueError: before any slow work.
        ConversionError: TensorFlow's converter refused the model, or wrote what was not asked for.
    """
    original = lower(model, config.scheme)
    datasets.validate(dataset, original.input_shape, assembly.num_classes(original))
    return analyze_folded(fold_batchnorm(original), dataset, config, progress)


def analyze_folded(
    folded: Folded,
    dataset: Dataset,
    config: AnalysisConfig = DEFAULTS,
    progress: Progress = silent,
) -> RunResult:
    """`analyze` for a network that is folded already, by `fold_batchnorm` or by a remedy."""
    if config.scheme in SCHEMES and not SCHEMES[config.scheme].calibrated:
        config = replace(config, trials=1)  # every draw gives the same file
    draws = _draws(dataset, config)
    scored = _scored(len(dataset.x_test), config)
    return analyze_draws([folded] * config.trials, dataset, draws, scored, config, progress)


def analyze_file(
    model: Any,
    content: bytes,
    dataset: Dataset,
    config: AnalysisConfig = DEFAULTS,
    progress: Progress = silent,
) -> RunResult:
    """`analyze` for a .tflite file that somebody made of the model, with whatever tool.

    Calibration images only give the fp32 activations' ranges; `trials` and `scheme` play no role.

    Raises:
        ValueError: a simulation or own errors are asked for; both need a network of our making.
        TfliteFileError, PairingError: the file is damaged, or not this model's.
    """
    if config.simulated or config.own_error:
        raise ValueError(
            "a given .tflite file runs as it is: scheme='simulated' and own_error need a network "
            f"that we round, received scheme={config.scheme!r}, own_error={config.own_error}"
        )
    original = lower(model, None)
    datasets.validate(dataset, original.input_shape, assembly.num_classes(original))
    folded = fold_batchnorm(original)
    config = replace(config, trials=1)
    given = adopt(folded.graph, content)
    size, parts = chunking(folded.graph, layers_of(folded.graph), config, SCORED_BYTES)
    rehearse(content, given.model.inputs[0], given.model.input_shape(size // parts))
    scored = _scored(len(dataset.x_test), config)
    draws = _draws(dataset, config)
    result = analyze_draws([folded], dataset, draws, scored, config, progress, given)
    return replace(result, config={**result.config, "scheme": "tflite"})


def _draws(dataset: Dataset, config: AnalysisConfig) -> list[NDArray[np.int64]]:
    """Calibration images of every trial."""
    available = len(getattr(dataset, calibration_split(dataset)))
    return [draw(available, config.calibration_size, config.seed, k) for k in range(config.trials)]


def calibration_split(dataset: Dataset) -> str:
    """Which images calibration draws from: "x_train", or "x_test" where that is all there is."""
    return "x_test" if dataset.x_train is None else "x_train"


@dataclass(frozen=True, eq=False)
class Part:
    """Trials that score the same images.

    Attributes:
        measured: fp32 against every trial's quantized network.
        own: for every trial and row the own error; empty unless asked for.
        drawn: for every trial the indices of its calibration images.
    """

    measured: Measured
    own: Sequence[Sequence[OwnSums]]
    drawn: Sequence[NDArray[np.int64]]

    @property
    def rows(self) -> tuple[tuple[str, str], ...]:
        """Every paired row's name, and what it is held against."""
        (first, *_) = self.measured.trials
        against = first.folded.held_against
        return tuple((p.row.name, against[p.row.name]) for p in first.converted.pairs)


def analyze_draws(
    trials_of: Sequence[Folded],
    dataset: Dataset,
    draws: Sequence[NDArray[np.int64]],
    scored: NDArray[np.int64],
    config: AnalysisConfig,
    progress: Progress = silent,
    given: Converted | None = None,
) -> RunResult:
    """`analyze_folded` with given calibration images and scored images; see `measure_draws`."""
    part = measure_draws(trials_of, dataset, draws, scored, config, progress, given)
    return assemble([part], dataset, config)


def measure_draws(
    trials_of: Sequence[Folded],
    dataset: Dataset,
    draws: Sequence[NDArray[np.int64]],
    scored: NDArray[np.int64],
    config: AnalysisConfig,
    progress: Progress = silent,
    given: Converted | None = None,
) -> Part:
    """Calibrates and converts every trial's network, and measures all on the same images.

    Args:
        trials_of: every trial's network, of one fp32 graph; they may differ in what is quantized.
        dataset: as for `analyze`.
        draws: for every trial the indices of its calibration images in `calibration_split`.
        scored: indices of the scored images in `x_test`.
        config: all else.
        progress: wraps the long loops.
        given: the file to analyze, if it is there already; of one trial.
    """
    graph, rows = trials_of[0].graph, layers_of(trials_of[0].graph)
    kept = [{*config.float_layers, *folded.float_layers} for folded in trials_of]
    check_layers(graph, set().union(*kept))
    chunk, parts = chunking(graph, rows, config)
    larger, _ = chunking(graph, rows, config, SCORED_BYTES)
    run = KerasActivations(graph, [graph.nodes[0].name, *(row.output for row in rows)])
    split = calibration_split(dataset)
    images = getattr(dataset, split)

    def stream(source: Any, indices: NDArray, what: str, size: int = chunk) -> Iterable[Any]:
        batches = datasets.chunks(source, indices, size, config.preprocessing)
        return progress(batches, what, math.ceil(len(indices) / size))

    with ThreadPoolExecutor(config.threads) as executor:
        workers = Workers(executor, parts)
        trials, cuts = [], []
        names, observed = [graph.nodes[0].name, *(row.name for row in rows)], run
        if config.scheme == GRAPH_TRANSFORM_TOOL:
            names, observed = deployment.watched(graph)
        for k, (folded, drawn) in enumerate(zip(trials_of, draws, strict=True)):
            chunks = stream(images, drawn, f"calibrate {k + 1}/{len(draws)}")
            rule, bins = config.rule, config.bins
            sites = calibrate(observed, chunks, len(drawn), rule, bins, executor, names)
            sites = [_learned(s, folded.ranges.get(n)) for n, s in zip(names, sites, strict=True)]
            by_name = dict(zip(names, sites, strict=True))
            singles = partial(datasets.chunks, images, drawn, 1, config.preprocessing)
            converted = given or deployment.convert(
                folded.deployed, by_name, kept[k], config, singles
            )
            at = [by_name[pair.row.name] for pair in converted.pairs]
            trials.append(Trial(folded, at, converted, deployment.runner(config)))
            if config.own_error:
                ranges = {name: (site.low, site.high) for name, site in by_name.items()}
                cut = to_cut_tflite(folded.deployed, ranges, kept[k])
                cuts.append(OwnTrial(folded.deployed, cut))
        paired = [pair.row for pair in trials[0].converted.pairs]
        measured = measure(
            Reference(trials_of[0], paired, assembly.logits_node(graph), run),
            trials,
            assembly.logits_row(graph, paired),
            stream(dataset.x_test, scored, "compare layers", larger),
            workers,
            HistogramConfig(config.bins, config.epsilon),
        )
        own: list[list[OwnSums]] = []
        if config.own_error:
            chunks = stream(dataset.x_test, scored, "own errors")
            own = measure_own(run, graph, cuts, chunks, workers)
    return Part(measured, own, draws)


def assemble(parts: Sequence[Part], dataset: Dataset, config: AnalysisConfig) -> RunResult:
    """One result of all trials of some parts; `data` lists scored images and digests by part.

    Where the trials' networks differ in their rows, layers are of those that most of them have.
    """
    measured = [part.measured for part in parts]
    trials = [trial for part in measured for trial in part.trials]
    folded, converted = trials[0].folded, trials[0].converted
    ((most, _),) = Counter(part.rows for part in parts).most_common(1)
    alike = [part for part in parts if part.rows == most]
    layers = assembly.layer_results([part.measured for part in alike], config.bins)
    if config.own_error:
        layers = with_own(layers, [own for part in alike for own in part.own])
    split = calibration_split(dataset)
    digests = [assembly.digest_of(m.digests, dataset.y_test[m.scored]) for m in measured]
    scored = [m.scored.tolist() for m in measured]
    overlap = split == "x_test" and any(
        np.isin(drawn, part.measured.scored).any() for part in parts for drawn in part.drawn
    )
    notes = ("Calibration drew from the scored images: no x_train.",) if overlap else ()
    if len(alike) < len(parts):
        shown = ", ".join(str(k) for k, part in enumerate(parts, start=1) if part.rows == most)
        notes += (f"Networks of trials differ in their rows; layers are of trials {shown}.",)
    rescaled = sum(layer.reference == REMEDIED for layer in layers)
    if rescaled:
        notes += (
            f"{rescaled} of {len(layers)} rows are held against the remedied network's fp32 "
            "values, which are on another scale than those of the network that was given.",
        )
    return RunResult(
        config=asdict(replace(config, trials=len(trials)))
        | {"calibrator": config.rule.name, "percentile": config.rule.percentile},
        seed=config.seed,
        versions=assembly.versions(),
        model=assembly.model_record(folded.graph, trials),
        data={
            "name": dataset.name,
            "images": round(float(np.mean([len(indices) for indices in scored]))),
            "sha256": digests[0] if len(parts) == 1 else digests,
            "input": assembly.input_record(measured),
            "scored": scored[0] if len(parts) == 1 else scored,
            "calibration_split": split,
            "calibration_images": [drawn.tolist() for part in parts for drawn in part.drawn],
        },
        summary=summary.summarize(measured, dataset.y_test),
        layers=layers,
        skipped={
            **folded.graph.skipped,
            **{n: f"affine: {why}" for n, why in folded.affine.items()},
            **{n: f"no tensor: {why}" for n, why in converted.unpaired.items()},
        },
        notes=(*notes, *dict.fromkeys(n for trial in trials for n in trial.converted.notes)),
        tflite=() if config.simulated else tuple(t.converted.content for t in trials),
    )


def _learned(site: SiteRange, ends: tuple[float, float] | None) -> SiteRange:
    """A calibrated range with the ends that training learned, if it did."""
    return site if ends is None else replace(site, low=ends[0], high=ends[1])


def chunking(
    graph: Graph,
    rows: Sequence[LayerNode],
    config: AnalysisConfig,
    chunk_bytes: int = CHUNK_BYTES,
) -> tuple[int, int]:
    """(images in a chunk, parts it is cut into): parts divide chunks, chunks are at least 2.

    The parts are those of a chunk of `CHUNK_BYTES`, whatever `chunk_bytes` (at least as many) are.
    Keras' kernels give an image the same activations in any batch but a batch of one.

    Raises:
        ValueError: the activations of two images would not fit into half of the memory.
    """
    values = sum(math.prod(row.output_shape) for row in rows) + math.prod(graph.input_shape)
    if 2 * 4 * values > memory.total() // 2:
        raise ValueError(
            f"the activations of two images take {memory.words(8 * values)}, more than half of the "
            f"memory here ({memory.words(memory.total())}); build the model for smaller images"
        )
    most = max(2, min(config.batch_size, CHUNK_BYTES // (4 * values)))
    parts = min(config.threads, most)
    size = max(2, min(config.batch_size, chunk_bytes // (4 * values)))
    return size - size % parts, parts


def _scored(available: int, config: AnalysisConfig) -> NDArray[np.int64]:
    """Indices of the scored images: all, or a seeded draw of `max_images`."""
    if config.max_images is None or config.max_images >= available:
        return np.arange(available)
    return draw(available, config.max_images, config.seed, -1 % 2**32)
