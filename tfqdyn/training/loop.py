"""The training run: resumable at every epoch, and honest about runs that fail."""

import contextlib
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfqdyn import datasets
from tfqdyn.files import wholefiles
from tfqdyn.training import inputs, optimizers
from tfqdyn.training.dynamics import Dynamics
from tfqdyn.training.files import State, Table
from tfqdyn.training.recipes import Recipe
from tfqdyn.training.record import RunRecord, identity_of

CHECKPOINTS = (5, 50, 75, 150)
EVALUATION_BATCH = 256
STEPS_BETWEEN_LOSS_CHECKS = 20
SMALLEST_LESSON = 0.005  # of chance's loss ln(classes): a net that gained less has learned nothing


@dataclass(frozen=True)
class TrainingConfig:
    """Everything about a run besides network, data and recipe.

    Attributes:
        workdir: Folder of the run's files; made if missing. A run found there is continued.
        seed: Seed of initialization, order of images, dropout and augmentation.
        preprocessing: A mode of `datasets.preprocess`.
        checkpoints: Epochs after which the network is kept; the last epoch's always is.
        validation_images: Test images evaluated every epoch (the first ones); None for all. The
            final accuracy is of all of them in any case.
        dynamics_images: Training images of the learning dynamics' activation ranges; 0 records no
            learning dynamics.
        progress: Whether to show progress bars; None shows them on a terminal alone.
    """

    workdir: Path
    seed: int = 0
    preprocessing: str = "tf"
    checkpoints: tuple[int, ...] = CHECKPOINTS
    validation_images: int | None = None
    dynamics_images: int = 128
    progress: bool | None = None


@dataclass(frozen=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        status: `"finished"`, `"diverged"` (the loss or a weight became NaN or infinite) or
            `"vanished"` (all epochs done, and the loss is still that of guessing).
        reason: The status in words.
        epochs_done: Epochs that are in the history.
        network: The trained network, without augmentation.
        test_loss: Cross-entropy over all test images, nats; None for a diverged run.
        test_accuracy: Share of all test images that are classified correctly, in [0, 1]; None for
            a diverged run.
        images_per_second: Training images a second, median over epochs; None if none was run.
    """

    status: str
    reason: str
    epochs_done: int
    network: keras.Model
    test_loss: float | None
    test_accuracy: float | None
    images_per_second: float | None

    @property
    def failed(self) -> bool:
        """Whether the run counts as failed, as the thesis' vanishing and exploding cases do."""
        return self.status != "finished"


def checkpoint_path(workdir: Path, epoch: int, recipe: Recipe) -> Path:
    """The path of the network kept after `epoch` epochs: the last one is `final.keras`."""
    name = "final.keras" if epoch == recipe.epochs else f"epoch_{epoch:03d}.keras"
    return workdir / name


def train(
    build: Callable[[], keras.Model],
    dataset: datasets.Dataset,
    recipe: Recipe,
    config: TrainingConfig,
) -> TrainingResult:
    """Trains a network, or continues where an earlier run in the same folder was.

    Files in the workdir, each written whole: `history.csv` (epoch, learning rate, loss and
    accuracy of training and test images), `dynamics.csv` (fields of `LayerDynamics`), `speed.csv`,
    `epoch_NNN.keras` and `final.keras` (the network without augmentation and optimizer),
    `state.npz` (to continue from) and `run.json` (recipe, config, status, final accuracy).

    A run that is killed and started again ends with the same files, bit for bit where the backend
    computes on one thread; only `speed.csv` shows it.

    Args:
        build: Makes the uncompiled network; called once, after the seed is set.
        dataset: Training and test images and labels.
        recipe: How to train, and for how many epochs.
        config: Folder, seed and what to record.

    Returns:
        The outcome; a run that was already over is not trained again.

    Raises:
        ValueError: If the data do not fit the network or have no training images, or the folder
            holds a run of another network, data, recipe or seed.
    """
    if dataset.x_train is None:
        raise ValueError(f"Training needs training images; {dataset.name!r} has test images alone.")
    keras.utils.set_random_seed(config.seed)
    network = build()
    datasets.validate(dataset, network.input_shape[1:], network.output_shape[-1])
    workdir = wholefiles.prepare(Path(config.workdir))
    identity = identity_of(network, dataset, recipe, config.seed, config.preprocessing)
    record = RunRecord(workdir / "run.json", identity)
    if record.status == "diverged":
        return TrainingResult(
            record.status, record.reason, record.epochs_done, network, None, None, None
        )

    # A model of its own, so that the network is saved without loss and optimizer.
    model: Any = keras.Model(network.inputs, network.outputs, name=f"trained_{network.name}")
    optimizer = optimizers.make(recipe)
    if recipe.batch_norm_momentum is not None:
        _set_batch_norm_momentum(network, recipe.batch_norm_momentum)
    jit: Any = False if _on_tensorflows_kernels() else "auto"
    model.compile(optimizer, loss=_loss(network), metrics=["accuracy"], jit_compile=jit)
    optimizer.build(model.trainable_variables)
    state = State(workdir / "state.npz", model)
    epochs_done = state.restore()

    run = _Run(network, dataset, recipe, config, state, epochs_done)
    if epochs_done < recipe.epochs:
        record.update(status="running", epochs_done=epochs_done)
        shown = sys.stdout.isatty() if config.progress is None else config.progress
        with _fused_kernels(network, optimizer):
            model.fit(
                run.batches,
                validation_data=run.validation,
                epochs=recipe.epochs,
                initial_epoch=epochs_done,
                callbacks=[run],
                shuffle=False,  # `Batches` does, by seed and epoch; Keras would shuffle batches
                verbose=1 if shown else 0,
            )
    result = run.result(model)
    record.update(
        status=result.status,
        reason=result.reason,
        epochs_done=result.epochs_done,
        test_loss=result.test_loss,
        test_accuracy=result.test_accuracy,
        images_per_second=result.images_per_second,
    )
    return result


def _on_tensorflows_kernels() -> bool:
    """Whether TensorFlow trains on a CPU, where XLA's convolutions are 20 times slower than its."""
    devices = keras.distribution.list_devices()
    return keras.backend.backend() == "tensorflow" and all(d.startswith("cpu") for d in devices)


def _fused_kernels(network: keras.Model, optimizer: Any) -> contextlib.AbstractContextManager[None]:
    if not _on_tensorflows_kernels():
        return contextlib.nullcontext()
    from tfqdyn.training import fused_kernels  # imports TensorFlow

    return fused_kernels.in_use(network, optimizer)


class _Run(keras.callbacks.Callback):
    """Drives each epoch (learning rate, order) and writes down what came of it."""

    def __init__(
        self,
        network: keras.Model,
        dataset: datasets.Dataset,
        recipe: Recipe,
        config: TrainingConfig,
        state: State,
        epochs_done: int,
    ) -> None:
        super().__init__()
        self._network, self._recipe, self._config, self._state = network, recipe, config, state
        self._workdir = Path(config.workdir)
        self._dataset, self._classes = dataset, network.output_shape[-1]
        self.batches = self._batches(
            "train", recipe.batch_size, seed=config.seed, augmentation=recipe.augmentation
        )
        self.validation = self._batches("test", EVALUATION_BATCH, first=config.validation_images)
        self.epochs_done = epochs_done
        self._diverged: str | None = None
        self._history = Table(self._workdir / "history.csv", epochs_done)
        self._dynamics_rows = Table(self._workdir / "dynamics.csv", epochs_done)
        self._speed = Table(self._workdir / "speed.csv", epochs_done)
        self._dynamics: Dynamics | None = None
        self._began = self._seconds = 0.0

    def _batches(self, part: str, batch_size: int, **order: Any) -> inputs.Batches:
        images, labels = getattr(self._dataset, f"x_{part}"), getattr(self._dataset, f"y_{part}")
        return inputs.Batches(images, labels, batch_size, self._config.preprocessing, **order)

    @property
    def _trained(self) -> Any:
        return self.model

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        if self._config.dynamics_images:
            images = self._config.dynamics_images
            sample, _ = self._batches("train", images, first=images)[0]
            self._dynamics = Dynamics(self._network, self._trained.optimizer, sample)
            self._stop_if_broken()
            if not self.epochs_done and not self._diverged:
                self._dynamics_rows.extend(self._dynamics.measure(0))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.batches.epoch = epoch
        self._trained.optimizer.learning_rate = self._recipe.learning_rate_in(epoch)
        self._trained.optimizer.reset_gradients()
        self._began = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        epoch, warmup = self.batches.epoch, self._recipe.warmup_steps or 0
        step = epoch * len(self.batches) + batch
        if step < warmup:
            rate = self._recipe.learning_rate_in(epoch) * self._recipe.warmup(step)
            self._trained.optimizer.learning_rate = rate

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if batch % STEPS_BETWEEN_LOSS_CHECKS == 0:
            self._stop_if_diverged(logs or {})

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        self._seconds = time.perf_counter() - self._began

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        self._stop_if_diverged(logs)
        self._stop_if_broken()
        if self._diverged:
            return
        done = epoch + 1
        measured = time.perf_counter()
        if self._dynamics:
            self._dynamics_rows.extend(self._dynamics.measure(done))
        dynamics_seconds = time.perf_counter() - measured
        rate = self._recipe.learning_rate_in(epoch)
        kept = ("loss", "accuracy", "val_loss", "val_accuracy")
        values = {name: float(logs[name]) for name in kept}
        self._history.extend([{"epoch": done, "learning_rate": rate} | values])
        self._speed.extend(
            [
                {
                    "epoch": done,
                    "train_seconds": round(self._seconds, 4),
                    "images_per_second": round(len(self._dataset.x_train) / self._seconds, 1),
                    "dynamics_seconds": round(dynamics_seconds, 4),
                }
            ]
        )
        if done in self._config.checkpoints or done == self._recipe.epochs:
            path = checkpoint_path(self._workdir, done, self._recipe)
            with wholefiles.replacing(path) as temporary:
                self._network.save(temporary)
        self._state.save(done)
        self.epochs_done = done

    def _stop_if_diverged(self, logs: dict[str, float]) -> None:
        loss = float(logs.get("loss", 0.0))
        if not math.isfinite(loss):
            self._stop(f"the training loss became {loss}")

    def _stop_if_broken(self) -> None:
        """The loss of a network without batch norms was seen to stay finite over NaN weights."""
        for weight in self._network.weights:
            if not np.isfinite(np.asarray(keras.ops.convert_to_numpy(weight))).all():
                self._stop(f"{weight.path} became NaN or infinite")

    def _stop(self, why: str) -> None:
        if not self._diverged:
            self._diverged = f"{why} in epoch {self.epochs_done + 1}"
            self._trained.stop_training = True

    def result(self, model: Any) -> TrainingResult:
        """Judges the run and evaluates the network on all test images."""
        speeds = [float(row["images_per_second"]) for row in self._speed.rows]
        speed = float(np.median(speeds)) if speeds else None
        if self._diverged:
            return TrainingResult(
                "diverged", self._diverged, self.epochs_done, self._network, None, None, speed
            )
        loss, accuracy = model.evaluate(self._batches("test", EVALUATION_BATCH), verbose=0)
        chance = math.log(self._classes)
        final = min(float(self._history.rows[-1]["loss"]), loss)  # dropout raises the former
        vanished = final > (1 - SMALLEST_LESSON) * chance
        return TrainingResult(
            "vanished" if vanished else "finished",
            f"loss {final:.4f}, that of guessing is {chance:.4f}",
            self.epochs_done,
            self._network,
            float(loss),
            float(accuracy),
            speed,
        )


def _loss(network: keras.Model) -> keras.losses.Loss:
    activation = getattr(network.layers[-1], "activation", None)
    logits = activation is not keras.activations.softmax
    return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)


def _set_batch_norm_momentum(network: keras.Model, momentum: float) -> None:
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum
