"""Which images calibrate and which are scored, and how many go through a network at a time.

Every draw is seeded by (seed, trial), so that images of one trial do not depend on how many trials
there are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import DataError, Dataset
from tfqdyn.files import memory
from tfqdyn.network.graph import Graph, LayerNode

CHUNK_BYTES = 64 * 2**20
"""How many bytes of fp32 activations one chunk of images may take."""
SCORED_BYTES = 3 * CHUNK_BYTES // 2
"""The same for images that are scored; conversion is over then."""
BLOCK = 1000
"""Scored images whose sums are kept apart from others', then merged."""
SCORED = 2**32 - 1
"""The number of the trial that draws the scored images: one that no calibration has."""


def draw(available: int, size: int, seed: int, trial: int) -> NDArray[np.int64]:
    """Sorted indices of a trial's calibration images, drawn without replacement.

    Raises:
        ValueError: no images, or size < 1.
    """
    if available < 1 or size < 1:
        raise ValueError(
            f"calibration needs at least one image, received {available} images, size {size}"
        )
    generator = np.random.default_rng((seed, trial))
    return np.sort(generator.choice(available, min(size, available), replace=False))


def calibration_split(dataset: Dataset) -> str:
    """Which images calibration draws from: "x_train", or "x_test" where that is all there is."""
    return "x_test" if dataset.x_train is None else "x_train"


def calibration_images(dataset: Dataset) -> Any:
    """The images that calibration draws from."""
    return getattr(dataset, calibration_split(dataset))


def calibration_draws(dataset: Dataset, config: AnalysisConfig) -> list[NDArray[np.int64]]:
    """Indices of every trial's calibration images."""
    available = len(calibration_images(dataset))
    return [draw(available, config.calibration_size, config.seed, k) for k in range(config.trials)]


def scored_images(dataset: Dataset, config: AnalysisConfig) -> NDArray[np.int64]:
    """Indices of the scored images in `x_test`: all, or a seeded draw of `max_images`."""
    available = len(dataset.x_test)
    if config.max_images is None or config.max_images >= available:
        return np.arange(available)
    return draw(available, config.max_images, config.seed, SCORED)


def blocks(scored: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Indices of scored images, cut into blocks of `BLOCK`; the last one may be smaller."""
    return [scored[start : start + BLOCK] for start in range(0, len(scored), BLOCK)]


@dataclass(frozen=True, eq=False)
class Drawn:
    """The images of one trial: indices of those that calibrate, and of those that are scored."""

    calibration: NDArray[np.int64]
    scored: NDArray[np.int64]


def disjoint_draws(dataset: Dataset, config: AnalysisConfig) -> list[Drawn]:
    """Every trial's images; no image both calibrates and is scored.

    Raises:
        DataError: nothing is left to score.
    """
    split = calibration_split(dataset)
    available = len(getattr(dataset, split))
    found = []
    for trial in range(config.trials):
        chosen = draw(available, config.calibration_size, config.seed, trial)
        scored = np.arange(len(dataset.x_test))
        if split == "x_test":
            scored = np.setdiff1d(scored, chosen)
        if not scored.size:
            raise DataError(
                f"{dataset.name!r} holds {available} images, all of which calibrate: give a "
                f"calibration_size below that, received {config.calibration_size}"
            )
        if config.max_images is not None and config.max_images < len(scored):
            scored = scored[draw(len(scored), config.max_images, config.seed, SCORED)]
        found.append(Drawn(chosen, scored))
    return found


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
    values = sum(math.prod(row.output_shape) for row in rows)
    values += sum(math.prod(shape) for shape in graph.input_shapes.values())
    if 2 * 4 * values > memory.total() // 2:
        raise ValueError(
            f"the activations of two images take {memory.words(8 * values)}, more than half of the "
            f"memory here ({memory.words(memory.total())}); build the model for smaller images"
        )
    most = max(2, min(config.batch_size, CHUNK_BYTES // (4 * values)))
    parts = min(config.threads, most)
    size = max(2, min(config.batch_size, chunk_bytes // (4 * values)))
    return size - size % parts, parts


def images_at_once(graph: Graph, config: AnalysisConfig) -> int:
    """How many scored images an interpreter runs at once."""
    size, parts = chunking(graph, graph.rows, config, SCORED_BYTES)
    return size // parts
