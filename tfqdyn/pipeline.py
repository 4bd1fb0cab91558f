"""The analysis: every stage in its order, nothing else.

    lower -> fold -> calibrate -> convert and pair -> measure -> assemble
"""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn import assembly, datasets
from tfqdyn.calibration import DEFAULT_PERCENTILES, Calibrator, Observer, draw, observe
from tfqdyn.capture import KerasActivations
from tfqdyn.conversion import SCHEMES, to_tflite
from tfqdyn.datasets import Dataset
from tfqdyn.folding import fold_batchnorm
from tfqdyn.graph import Graph, LayerNode, layers_of
from tfqdyn.layerstats import HistogramConfig
from tfqdyn.lowering import lower
from tfqdyn.measurement import Trial, measure
from tfqdyn.results import RunResult

CHUNK_BYTES = 192 * 2**20
"""How many bytes of fp32 activations one chunk of images may take."""

Progress = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Wraps a loop: (items, what they are, how many); yields the items."""


@dataclass(frozen=True)
class AnalysisConfig:
    """What an analysis does; every field is a flag of `tfqdyn analyze`.

    `percentile` is None for the calibrator's own default; `max_images` None for all;
    `batch_size` is the largest number of images in one forward pass (fewer where activations
    would not fit; no figure depends on it).
    """

    preprocessing: str = "none"
    scheme: str = "uint8"
    calibrator: str = "percentile_of_runs"
    percentile: float | None = None
    calibration_size: int = 64
    trials: int = 5
    max_images: int | None = None
    batch_size: int = 50
    threads: int = 2
    seed: int = 0
    bins: int = 128
    epsilon: float = 1e-9
    float_layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("calibration_size", "trials", "batch_size", "threads", "bins", "max_images"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, received {value}")
        if self.scheme not in SCHEMES:
            raise ValueError(f"scheme must be one of {list(SCHEMES)}, received {self.scheme!r}")
        if self.preprocessing not in datasets.PREPROCESSING:
            raise ValueError(
                f"preprocessing must be one of {sorted(datasets.PREPROCESSING)}, received "
                f"{self.preprocessing!r}"
            )
        if not 0 < self.epsilon < 1 or self.seed < 0:
            raise ValueError(
                f"epsilon must lie in (0, 1) and seed be >= 0, received {self.epsilon}, {self.seed}"
            )
        self.rule  # raises on an unknown calibrator or percentile

    @property
    def rule(self) -> Calibrator:
        """The calibrator with its percentile."""
        own = DEFAULT_PERCENTILES.get(self.calibrator, 0.0)
        return Calibrator(self.calibrator, own if self.percentile is None else self.percentile)


def analyze(
    model: Any,
    dataset: Dataset,
    config: AnalysisConfig = AnalysisConfig(),
    progress: Progress = lambda items, what, total: items,
) -> RunResult:
    """What 8-bit inference does to a trained Keras classifier, layer by layer.

    Args:
        model: functional or sequential, Keras 3 or tf_keras; one input, one score a class out.
        dataset: images of the model's input shape; calibration draws from `x_train`, or from
            `x_test` where that is all there is.
        config: see `AnalysisConfig`.
        progress: wraps the long loops.

    Raises:
        UnsupportedModelError, DataError, ValueError: before any slow work.
        ConversionError, PairingError: what TensorFlow's converter wrote is not what was asked for.
    """
    original = lower(model)
    datasets.validate(dataset, original.input_shape, assembly.num_classes(original))
    folded = fold_batchnorm(original)
    graph, rows = folded.graph, layers_of(folded.graph)
    logits = assembly.logits_row(graph, rows)
    chunk, parts = _chunking(graph, rows, config)
    run = KerasActivations(graph, [graph.nodes[0].name, *(row.output for row in rows)])
    with ThreadPoolExecutor(config.threads) as executor:

        def stream(images: Any, indices: NDArray, what: str) -> Iterable[Any]:
            batches = datasets.chunks(images, indices, chunk, config.preprocessing)
            return progress(batches, what, math.ceil(len(indices) / chunk))

        trials, drawn = [], []
        split = "x_test" if dataset.x_train is None else "x_train"
        source = getattr(dataset, split)
        for k in range(config.trials):
            chosen = draw(len(source), config.calibration_size, config.seed, k)
            channels = [graph.input_shape[-1], *(row.output_shape[-1] for row in rows)]
            observers = [Observer(c, len(chosen), config.rule) for c in channels]
            for images, valid, _ in stream(source, chosen, f"calibrate {k + 1}/{config.trials}"):
                observe(observers, [a[: len(valid)] for a in run(images)], executor)
            sites = [o.site_range(config.rule, config.bins) for o in observers]
            names = [graph.nodes[0].name, *(row.name for row in rows)]
            ranges = {n: (s.low, s.high) for n, s in zip(names, sites, strict=True)}
            trials.append(Trial(sites[1:], to_tflite(graph, ranges, config.float_layers)))
            drawn.append(chosen.tolist())
        scored = _scored(len(dataset.x_test), config)
        measured = measure(
            lambda images: run(images)[1:], trials, logits,
            stream(dataset.x_test, scored, "compare layers"), executor, parts,
            HistogramConfig(config.bins, config.epsilon),
        )  # fmt: skip
    labels = dataset.y_test[scored]
    return RunResult(
        config=asdict(config) | {"percentile": config.rule.percentile},
        seed=config.seed,
        versions=assembly.versions(),
        model={
            "name": graph.name,
            "parameters": sum(row.params for row in rows),
            "macs": sum(row.macs for row in rows),
            "bytes_fp32": 4 * sum(row.params for row in rows),
            "bytes_quantized": len(trials[0].converted.content),
            "weight_ties": [trial.converted.ties for trial in trials],
        },
        data={
            "name": dataset.name,
            "images": len(scored),
            "sha256": assembly.digest_of(measured.digests, labels),
            "scored": scored.tolist(),
            "calibration_split": split,
            "calibration_images": drawn,
        },
        summary=assembly.summarize(measured, labels, trials),
        layers=assembly.layer_results(folded, trials, measured, config.bins),
        skipped={**graph.skipped, **{n: f"affine: {why}" for n, why in folded.affine.items()}},
        tflite=tuple(trial.converted.content for trial in trials),
    )


def _chunking(graph: Graph, rows: tuple[LayerNode, ...], config: AnalysisConfig) -> tuple[int, int]:
    """(images in a chunk, parts it is cut into): parts divide chunks, chunks are at least 2.

    Keras' kernels give an image the same activations in any batch but a batch of one.
    """
    values = sum(math.prod(row.output_shape) for row in rows) + math.prod(graph.input_shape)
    fitting = max(2, min(config.batch_size, CHUNK_BYTES // (4 * values)))
    parts = min(config.threads, fitting)
    return max(2, fitting - fitting % parts), parts


def _scored(available: int, config: AnalysisConfig) -> NDArray[np.int64]:
    """Indices of the scored images: all, or a seeded draw of `max_images`."""
    if config.max_images is None or config.max_images >= available:
        return np.arange(available)
    return draw(available, config.max_images, config.seed, -1 % 2**32)
