"""The images that jobs work on, known by what they show and never by their data set's name."""

import dataclasses
import functools
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import train
from tfqdyn import datasets
from tfqdyn.datasets import Dataset

CHUNK = 4096
"""Images that are digested at once."""


@dataclass(frozen=True)
class Source:
    """Where a scale's images come from.

    Attributes:
        name: for `datasets.load`.
        held_out: so many training images, the last ones, are never trained on: they are scored
            with the test images, behind these.
    """

    name: str
    held_out: int = 0

    def load(self) -> Dataset:
        """The data set, split; read once a process.

        Raises:
            DataError: see `datasets.load`, or fewer training images than are held out.
        """
        return _loaded(self)


@dataclass(frozen=True)
class TrainingImages:
    """What a training sees.

    Attributes:
        source: where they come from.
        count: trained on, drawn by the seed; None for all.
        monitored: images that the training's history is of: of those held out, or, where none
            are, of those trained on. Test images are none of a training's business.
        seed: of the draw.
    """

    source: Source
    count: int | None
    monitored: int
    seed: int

    def load(self) -> Dataset:
        """The images trained on, with the monitored ones in the place of test images."""
        data = train.subset(self.source.load(), self.count, self.seed)
        held = self.source.held_out
        x, y = (data.x_test, data.y_test) if held else (data.x_train, data.y_train)
        first = len(x) - held if held else 0
        chosen = np.arange(first, min(first + self.monitored, len(x)))
        return dataclasses.replace(data, x_test=x[chosen], y_test=known(y)[chosen])

    def digest(self) -> str:
        """SHA-256 of images and labels, trained on and monitored; once a process."""
        return _digest_of_training(self)


@dataclass(frozen=True)
class ScoredImages:
    """What an analysis sees: test images to score, training images to calibrate on."""

    source: Source

    def load(self) -> Dataset:
        """The data set, split."""
        return self.source.load()

    def digest(self) -> str:
        """SHA-256 of images and labels; once a process."""
        return _digest_of_scored(self)


def digest_of(images: Any, labels: NDArray[np.int64]) -> str:
    """SHA-256 of images [N, H, W, C] with their type and shape, and of their labels [N]."""
    found = hashlib.sha256(f"{images.dtype} {tuple(images.shape)}".encode())
    for start in range(0, len(labels), CHUNK):
        chosen = np.arange(start, min(start + CHUNK, len(labels)))
        found.update(np.ascontiguousarray(images[chosen]).data)
    found.update(np.ascontiguousarray(labels, np.int64).data)
    return found.hexdigest()


@functools.lru_cache(maxsize=2)
def _loaded(source: Source) -> Dataset:
    data, held = datasets.load(source.name), source.held_out
    if not held:
        return data
    x, y = data.x_train, data.y_train
    if x is None or y is None or len(x) <= held:
        raise datasets.DataError(
            f"{source.name} must have more than {held} training images, which are held out of "
            f"training; it has {0 if x is None else len(x)}"
        )
    kept, out = np.split(np.arange(len(x)), [len(x) - held])
    tested = data.x_test[np.arange(len(data.x_test))]
    return dataclasses.replace(
        data,
        x_train=x[kept],
        y_train=y[kept],
        x_test=np.concatenate([tested, x[out]]),
        y_test=np.concatenate([known(data.y_test), y[out]]),
    )


@functools.cache
def _digest_of_training(images: TrainingImages) -> str:
    data = images.load()
    trained = digest_of(data.x_train, known(data.y_train))
    return hashlib.sha256(
        f"{trained} {digest_of(data.x_test, known(data.y_test))}".encode()
    ).hexdigest()


@functools.cache
def _digest_of_scored(images: ScoredImages) -> str:
    data = images.load()
    scored = digest_of(data.x_test, known(data.y_test))
    if data.x_train is None:
        return scored
    calibrating = digest_of(data.x_train, known(data.y_train))
    return hashlib.sha256(f"{scored} {calibrating}".encode()).hexdigest()


def known(labels: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Labels [N] of images that have them, as all of the works' do."""
    assert labels is not None, "images that are there have labels"
    return labels
