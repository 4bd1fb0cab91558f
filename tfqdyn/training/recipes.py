"""Training recipes of the works, as frozen records."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class StepDecay:
    """Multiplies the learning rate by `factor` once each number of epochs is done.

    Attributes:
        factor: Multiplier of each drop, in (0, 1].
        after: Numbers of finished epochs at which the rate drops, ascending.
    """

    factor: float
    after: tuple[int, ...]

    def scale(self, epoch: int) -> float:
        """The multiplier in force in epoch `epoch`, counted from 0."""
        return self.factor ** sum(epoch >= done for done in self.after)

    def stretched(self, ratio: float) -> "StepDecay":
        """The same drops at `ratio` times their epochs."""
        return dataclasses.replace(self, after=tuple(round(done * ratio) for done in self.after))


@dataclass(frozen=True)
class ExponentialDecay:
    """Multiplies the learning rate by `factor` after every epoch."""

    factor: float

    def scale(self, epoch: int) -> float:
        """The multiplier in force in epoch `epoch`, counted from 0."""
        return self.factor**epoch

    def stretched(self, ratio: float) -> "ExponentialDecay":
        """A decay as deep at the end of a run `ratio` times as long."""
        return dataclasses.replace(self, factor=self.factor ** (1 / ratio))


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a training image; the works name the kinds but not the magnitudes.

    Attributes:
        rotation: Largest rotation either way, degrees.
        shift: Largest shift in height and in width, as a fraction of the image.
        zoom: Largest change of size in height and in width, as a fraction.
        flips: Whether to mirror at random, left-right and up-down.
    """

    rotation: float = 15.0
    shift: float = 0.1
    zoom: float = 0.1
    flips: bool = True


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a network is trained, besides network, data and seed.

    Attributes:
        name: Name of the recipe.
        optimizer: `"sgd"` or `"rmsprop"`, both with momentum.
        learning_rate: Learning rate of the first epoch.
        decay: Its course over the epochs.
        epochs: Passes over the training images.
        batch_size: Images a step; the last batch of an epoch may be smaller.
        momentum: Momentum of the update, in [0, 1).
        rho: RMSprop's decay of the mean square gradient; unused by SGD.
        epsilon: RMSprop's constant inside the square root; unused by SGD.
        augmentation: Changes of the training images, or None.
        batch_norm_momentum: Momentum of the moving statistics of batch normalization; None leaves
            the network's own. Keras' 0.99 needs hundreds of steps to forget that the moving
            variance began at 1, which depthwise layers' is far below: before that, inference is
            guessing. Runs of fewer than about 1,000 steps want 0.9.
        warmup_steps: Steps in which the learning rate rises linearly from 0 to that of its epoch;
            None for none.
        weight_decay: Factor of an L2 penalty of half the squared norm of every kernel: its
            gradient, factor x kernel, is added to that of the loss. Biases and batch norms have
            none; None for none at all.
    """

    name: str
    optimizer: Literal["sgd", "rmsprop"]
    learning_rate: float
    decay: StepDecay | ExponentialDecay
    epochs: int = 200
    batch_size: int = 128
    momentum: float = 0.9
    rho: float = 0.9
    epsilon: float = 1.0
    augmentation: Augmentation | None = Augmentation()
    batch_norm_momentum: float | None = None
    warmup_steps: int | None = None
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError if a number is out of its range."""
        if self.epochs < 1 or self.batch_size < 1 or self.learning_rate <= 0:
            raise ValueError(
                "epochs and batch_size must be at least 1 and learning_rate positive, received "
                f"{self.epochs}, {self.batch_size} and {self.learning_rate}"
            )
        moving = self.batch_norm_momentum
        if not (0 <= self.momentum < 1 and (moving is None or 0 <= moving < 1)):
            raise ValueError(
                "momentum and batch_norm_momentum must lie in [0, 1), received "
                f"{self.momentum} and {moving}"
            )
        warmup, penalty = self.warmup_steps, self.weight_decay
        if not ((warmup is None or warmup > 0) and (penalty is None or penalty > 0)):
            raise ValueError(
                "warmup_steps and weight_decay must be positive, or None, received "
                f"{warmup} and {penalty}"
            )

    def learning_rate_in(self, epoch: int) -> float:
        """The learning rate of epoch `epoch`, counted from 0, once it is warmed up."""
        return self.learning_rate * self.decay.scale(epoch)

    def warmup(self, step: int) -> float:
        """The share of the learning rate in force at step `step` of the run, from 0."""
        return 1.0 if self.warmup_steps is None else min(1.0, (step + 1) / self.warmup_steps)

    def with_epochs(self, epochs: int, *, scale_decay: bool = True) -> "Recipe":
        """The recipe for another number of epochs.

        Args:
            epochs: Number of epochs, at least 1.
            scale_decay: Whether the learning rate runs its whole course in the new length (drops
                move in proportion), or stays a function of the epoch alone.
        """
        if epochs < 1:
            raise ValueError(f"epochs must be at least 1, received {epochs}")
        decay = self.decay.stretched(epochs / self.epochs) if scale_decay else self.decay
        return dataclasses.replace(self, epochs=epochs, decay=decay)


# "Do All MobileNets Quantize Poorly?" section 3. Keras' RMSprop is the papers' but for the initial
# mean square (1 in TensorFlow 1.15, 0 here: gone after about 50 steps).
MOBILENETS = Recipe("mobilenets", "rmsprop", 0.045, ExponentialDecay(0.97))

# Thesis sections 4.4 and 5.4.
THESIS = Recipe("thesis", "sgd", 0.01, StepDecay(0.1, after=(75, 120, 170)))

RECIPES: Mapping[str, Recipe] = MappingProxyType({r.name: r for r in (MOBILENETS, THESIS)})
