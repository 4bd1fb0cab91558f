"""What goes into a training step: seeded batches, preprocessed and augmented."""

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfqdyn import datasets
from tfqdyn.training.augmentation import augment
from tfqdyn.training.recipes import Augmentation


class Batches(keras.utils.PyDataset):
    """Batches of preprocessed images, in an order drawn from (seed, epoch) alone.

    Images are kept as they come (uint8, or on disk) and preprocessed batch by batch. Order and
    augmentation of an epoch do not depend on the epochs before it: a run that starts again in the
    middle sees the images as it would have.
    """

    def __init__(
        self,
        images: Any,  # [N, H, W, C]
        labels: NDArray,  # [N]
        batch_size: int,
        preprocessing: str,
        *,
        seed: int | None = None,
        augmentation: Augmentation | None = None,
        first: int | None = None,
    ) -> None:
        """Wraps images and labels.

        Args:
            images: Array, or what `datasets.Dataset` has in its place.
            labels: Class of each image.
            batch_size: Images a batch; the last one may be smaller.
            preprocessing: A mode of `datasets.preprocess`.
            seed: Seed of order and augmentation; None keeps the images' own order.
            augmentation: Random changes of the images, for which there must be a seed; or None.
            first: Number of images to use, the first ones; None for all.

        Raises:
            ValueError: If there is an augmentation and no seed.
        """
        super().__init__()
        if augmentation and seed is None:
            raise ValueError("Augmentation needs a seed, received None")
        self._images, self._labels = images, labels
        self._batch_size, self._preprocessing, self._seed = batch_size, preprocessing, seed
        self._augmentation = augmentation
        self._order = np.arange(len(labels))[:first]
        self.epoch = 0

    @property
    def epoch(self) -> int:
        """The epoch, counted from 0, whose order is in force."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch = epoch
        if self._seed is not None:
            self._order = np.random.default_rng((self._seed, epoch)).permutation(len(self._order))

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return math.ceil(len(self._order) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Images [N, H, W, C], preprocessed, and labels [N] of one batch of the epoch."""
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        images = np.asarray(
            datasets.preprocess(self._images[chosen], self._preprocessing), np.float32
        )
        if self._augmentation and self._seed is not None:
            source = np.random.SeedSequence((self._seed, self._epoch), spawn_key=(index,))
            images = augment(images, self._augmentation, np.random.default_rng(source))
        return images, np.asarray(self._labels[chosen], np.int32)
