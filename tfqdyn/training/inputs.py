"""What goes into a training step: seeded batches, and augmentation inside the graph."""

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfqdyn import datasets
from tfqdyn.training.recipes import Augmentation


class Batches(keras.utils.PyDataset):
    """Batches of preprocessed images, in an order drawn from (seed, epoch) alone.

    Images are kept as they come (uint8, or on disk) and preprocessed batch by batch. The order of
    an epoch does not depend on the epochs before it: a run that starts again in the middle sees
    the images as it would have.
    """

    def __init__(
        self,
        images: Any,  # [N, H, W, C]
        labels: NDArray,  # [N]
        batch_size: int,
        preprocessing: str,
        *,
        seed: int | None = None,
        first: int | None = None,
    ) -> None:
        """Wraps images and labels.

        Args:
            images: Array, or what `datasets.Dataset` has in its place.
            labels: Class of each image.
            batch_size: Images a batch; the last one may be smaller.
            preprocessing: A mode of `datasets.preprocess`.
            seed: Seed of the order; None keeps the images' own.
            first: Number of images to use, the first ones; None for all.
        """
        super().__init__()
        self._images, self._labels = images, labels
        self._batch_size, self._preprocessing, self._seed = batch_size, preprocessing, seed
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
        images = datasets.preprocess(self._images[chosen], self._preprocessing)
        return np.asarray(images, np.float32), np.asarray(self._labels[chosen], np.int32)


def augmented(network: keras.Model, augmentation: Augmentation | None, seed: int) -> keras.Model:
    """Puts augmentation in front of a network, as Keras layers that only act in training.

    The network itself is left as it is, so that what is saved of it has no augmentation. Pixels
    that move in from outside repeat the border.

    Args:
        network: Functional model of images [N, H, W, C].
        augmentation: Kinds and magnitudes, or None.
        seed: Seed of the random changes.

    Returns:
        A model that shares the network's weights.
    """
    inputs = keras.Input(network.input_shape[1:])
    x = inputs
    for layer in _layers(augmentation, seed) if augmentation else ():
        x = layer(x)
    return keras.Model(inputs, network(x), name=f"augmented_{network.name}")


def _layers(augmentation: Augmentation, seed: int) -> list[keras.layers.Layer]:
    shift, zoom = augmentation.shift, (-augmentation.zoom, augmentation.zoom)
    layers: list[keras.layers.Layer] = []
    if augmentation.rotation:
        turn = augmentation.rotation / 360
        layers.append(keras.layers.RandomRotation(turn, fill_mode="nearest", seed=seed))
    if augmentation.shift:
        layers.append(
            keras.layers.RandomTranslation(shift, shift, fill_mode="nearest", seed=seed + 1)
        )
    if augmentation.zoom:
        layers.append(keras.layers.RandomZoom(zoom, zoom, fill_mode="nearest", seed=seed + 2))
    if augmentation.flips:  # two layers: Keras' "horizontal_and_vertical" flips both or neither
        layers.append(keras.layers.RandomFlip("horizontal", seed=seed + 3))
        layers.append(keras.layers.RandomFlip("vertical", seed=seed + 4))
    return layers
