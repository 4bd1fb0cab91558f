"""Small networks on scikit-learn's digits, trained in seconds: for the demo and the notebooks."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from tfqdyn.training import TrainingResult


def train(
    arch: str,
    workdir: Path,
    *,
    epochs: int = 8,
    seed: int = 0,
    dead_channels: int = 0,
    dynamics_images: int = 0,
    checkpoints: tuple[int, ...] = (),
    **options: Any,
) -> "TrainingResult":
    """Trains a network on the 1,438 training images, or returns the one that is there already.

    Args:
        arch: a name of `models.BUILDERS`.
        workdir: folder of the training's files.
        epochs: passes over the images.
        seed: of everything random.
        dead_channels: so many channels before each depthwise layer never get past their ReLU.
        dynamics_images: see `training.TrainingConfig`.
        checkpoints: epochs after which the network is kept.
        **options: of the builder.
    """
    import models
    from tfqdyn import datasets, training

    recipe = dataclasses.replace(
        training.RECIPES["thesis"].with_epochs(epochs),
        learning_rate=0.05,
        batch_size=32,
        augmentation=None,
        batch_norm_momentum=0.9,
    )

    def build() -> "keras.Model":
        network = models.BUILDERS[arch](**options)
        _kill(network, dead_channels)
        return network

    config = training.TrainingConfig(
        workdir, seed, checkpoints=checkpoints, dynamics_images=dynamics_images
    )
    return training.train(build, datasets.load("digits"), recipe, config)


def _kill(network: "keras.Model", count: int) -> None:
    """Makes the first channels that each depthwise layer reads negative, so that ReLU stops them.

    No gradient ever reaches them, the variance that the depthwise layer's batch norm sees decays
    to zero, and folding blows up kernels that no image uses, as in the published MobileNet-V1.
    """
    import keras

    before: Any = None
    for layer in network.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D) and before is not None and count:
            beta = before.beta.numpy()
            beta[:count] = -10.0
            before.beta.assign(beta)
        if isinstance(layer, keras.layers.BatchNormalization):
            before = layer
