"""The training loop: cross-entropy of the rounded network, and how far its layers are from fp32.

    loss = CE(labels, rounded network) + layer_loss * mean over layers of QMSE / E[x^2]

QMSE is that of a batch's layer outputs in the rounded network against the fp32 network that was
given, x the latter's values (Yun & Wong 2021, section 5, propose to minimize layerwise QMSE beside
the quantized output's error; division by the signal's power lets layers of any range count alike).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfqdyn.console import Progress, silent
from tfqdyn.files.steps import NOTHING_KEPT, Steps
from tfqdyn.qat.rounding import tf_keras
from tfqdyn.training.inputs import Batches

TRAINING = "training"
"""The step's name."""


@dataclass(frozen=True)
class Schedule:
    """How to fine-tune.

    Attributes:
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: Adam's in the first step; falls to 0 as half a cosine.
        layer_loss: weight of the layerwise QMSE, at least 0.
        max_images: train on this many images at most, drawn by the seed; None for all.
        seed: decides which images, and in what order.
    """

    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 1e-3
    layer_loss: float = 0.0
    max_images: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        whole = (self.epochs, self.batch_size, self.max_images or 1)
        if min(whole) < 1 or not self.learning_rate > 0 or not self.layer_loss >= 0:
            raise ValueError(
                "epochs, batch_size and max_images must be at least 1, learning_rate positive and "
                f"layer_loss at least 0, received {asdict(self)}"
            )


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to: means over its images; layers is None without a layer loss."""

    number: int
    loss: float
    accuracy: float
    layers: float | None


@dataclass(frozen=True, eq=False)
class _Trained:
    """Epochs that are done, and all variables of model and optimizer after them."""

    history: tuple[Epoch, ...]
    values: tuple[NDArray, ...]


class DivergedError(RuntimeError):
    """The loss became NaN or infinite."""


def fine_tune(
    model: Any,
    batches: Batches,
    schedule: Schedule,
    from_logits: bool,
    reference: Callable[[tf.Tensor], Sequence[tf.Tensor]] | None = None,
    progress: Progress = silent,
    steps: Steps = NOTHING_KEPT,
) -> list[Epoch]:
    """Trains a tf_keras model in place.

    Args:
        model: images [N, H, W, C] -> scores [N, K], or a list of scores and layer outputs.
        batches: training images and labels; their order is set for each epoch.
        schedule: how long and how fast.
        from_logits: whether the scores are logits, not probabilities.
        reference: the fp32 values of the layer outputs, where the schedule has a layer loss.
        progress: wraps each epoch's batches.
        steps: what is finished; every epoch is one.

    Raises:
        DivergedError: the loss became NaN or infinite.
    """
    updates = schedule.epochs * len(batches)
    rate: Any = tf_keras.optimizers.schedules.CosineDecay(schedule.learning_rate, updates)
    optimizer = tf_keras.optimizers.Adam(rate)
    optimizer.build(model.trainable_variables)

    @tf.function(reduce_retracing=True)
    def step(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            values = model(images, training=True)
            scores, layers = (values[0], values[1:]) if isinstance(values, list) else (values, [])
            scores = tf.reshape(scores, (tf.shape(scores)[0], -1))
            loss = tf.reduce_mean(cross_entropy(labels, scores, from_logits))
            distance = tf.constant(0.0)
            if reference is not None and schedule.layer_loss:
                distance = layer_distance(reference(images), layers)
            total = loss + schedule.layer_loss * distance
        gradients = tape.gradient(total, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        right = tf.reduce_sum(tf.cast(decisions(scores, from_logits) == labels, tf.float32))
        return loss, right, distance

    variables = [*model.variables, *optimizer.variables]
    trained = steps.kept(TRAINING, _Trained) or _Trained((), ())
    for variable, value in zip(variables, trained.values, strict=bool(trained.values)):
        variable.assign(value)
    history = list(trained.history)
    for epoch in range(len(history), schedule.epochs):
        batches.epoch = epoch
        sums, seen = np.zeros(3), 0
        what = f"train, epoch {epoch + 1}/{schedule.epochs}"
        for index in progress(range(len(batches)), what, len(batches)):
            images, labels = batches[index]
            loss, right, distance = (
                float(x) for x in step(tf.constant(images), tf.constant(labels))
            )
            if not math.isfinite(loss):
                raise DivergedError(
                    f"the loss became {loss} in epoch {epoch + 1}; lower the learning rate, "
                    f"{schedule.learning_rate}"
                )
            sums += len(labels) * np.array([loss, right / len(labels), distance])
            seen += len(labels)
        loss, accuracy, distance = (float(x) for x in sums / seen)
        measured = distance if schedule.layer_loss else None
        history.append(Epoch(epoch + 1, loss, accuracy, measured))
        values = tuple(variable.numpy() for variable in variables)
        steps.keep(TRAINING, _Trained(tuple(history), values))
    return history


def cross_entropy(labels: tf.Tensor, scores: tf.Tensor, from_logits: bool) -> tf.Tensor:
    """Cross-entropy [N] in nats of scores [N, K]; a single score is that of class 1."""
    if scores.shape[1] == 1:
        wanted = tf.cast(labels[:, tf.newaxis], tf.float32)
        return tf_keras.losses.binary_crossentropy(wanted, scores, from_logits)
    return tf_keras.losses.sparse_categorical_crossentropy(labels, scores, from_logits)


def decisions(scores: tf.Tensor, from_logits: bool) -> tf.Tensor:
    """The class of each row of scores [N, K]."""
    if scores.shape[1] == 1:
        return tf.cast(scores[:, 0] > (0.0 if from_logits else 0.5), tf.int32)
    return tf.argmax(scores, axis=1, output_type=tf.int32)


def layer_distance(exact: Sequence[tf.Tensor], rounded: Sequence[tf.Tensor]) -> tf.Tensor:
    """Mean over layers of QMSE / mean square of the exact values; 0 is best."""
    shares = [
        tf.reduce_mean(tf.square(x - q)) / (tf.reduce_mean(tf.square(x)) + 1e-12)
        for x, q in zip(exact, rounded, strict=True)
    ]
    return tf.add_n(shares) / len(shares)
