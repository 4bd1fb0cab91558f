"""The kinds of work that the studies share: networks trained and untrained, and their analysis."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from experiments import train
from experiments.engine.accelerators import SIDE_BY_SIDE
from experiments.engine.image_sets import ScoredImages, TrainingImages
from experiments.engine.initial import Initial
from experiments.engine.networks import Network
from experiments.engine.provenance import code_of
from experiments.engine.scales import CHECKPOINTS, Scale
from experiments.engine.store import Job, Store
from experiments.engine.threads import THREADS
from tfqdyn import datasets, results
from tfqdyn.config import AnalysisConfig
from tfqdyn.training import Recipe, TrainingConfig, checkpoint_path, read_table

FAILED = ("diverged", "vanished")
GENERATION = 1
"""Of the code that trains. Raise it when a change of `tfqdyn.training` or `models` changes what
trainings come to, and all are done again: `tests/experiments/engine/test_provenance.py` tells."""
STATISTICS_BATCH = 256
"""Training images that an untrained network's batch norms take their statistics from."""


@dataclass(frozen=True)
class Training:
    """Trains one network from its initialization; see `tfqdyn.training.train`.

    Result: `status` ("finished", "diverged", "vanished"), `reason`, `epochs_done`,
    `steps_per_epoch`, `train_seconds` (of its steps, over all runs that it took), and
    `code_sha256`, a digest of the code that trained it. Files: those of `train`, below the job's
    folder; its history is of the monitored images.
    """

    KIND: ClassVar[str] = "trainings"
    cpus: ClassVar[float] = THREADS
    gpus: ClassVar[float] = 1 / SIDE_BY_SIDE

    initial: Initial
    images: TrainingImages
    recipe: Recipe
    checkpoints: tuple[int, ...]

    @property
    def label(self) -> str:
        """Builder and initializer."""
        return _label(self.initial)

    @property
    def needs(self) -> tuple[Job, ...]:
        """Nothing."""
        return ()

    @property
    def code(self) -> str:
        """The generation."""
        return f"generation {GENERATION}"

    @property
    def epochs(self) -> int:
        """How many it takes if it does not diverge."""
        return self.recipe.epochs

    def run(self, folder: Path, store: Store) -> Mapping[str, Any]:
        """Trains, or goes on where a run in the folder was cut."""
        import keras

        keras.backend.clear_session()
        data = self.images.load()
        config = TrainingConfig(folder, self.initial.seed, checkpoints=self.checkpoints)
        done = train.run(self.initial.arch, dict(self.initial.options), data, self.recipe, config)
        speed = folder / "speed.csv"
        seconds = [row["train_seconds"] for row in read_table(speed)] if speed.is_file() else []
        return {
            "status": done.status,
            "reason": done.reason,
            "epochs_done": done.epochs_done,
            "steps_per_epoch": -(-len(data.x_train) // self.recipe.batch_size),
            "train_seconds": round(sum(seconds), 1),
            "code_sha256": code_of("models", "tfqdyn.training"),
        }

    def network(self, store: Store, epoch: int) -> Any:
        """The network after an epoch; the last one where there are no more.

        Raises:
            FileNotFoundError: the training diverged before it, or kept no network there.
        """
        from tfqdyn.network import modelfile

        return modelfile.load(checkpoint_path(store.folder(self), epoch, self.recipe))


@dataclass(frozen=True)
class Untrained:
    """A network as its training begins with it: the control of what is said of trained ones.

    Its batch norms have the statistics of `STATISTICS_BATCH` training images at most, each from
    what the layers before it, normalized alike, make of them.

    Result: `status` ("untrained"), `reason`, `steps_per_epoch`, `train_seconds`. File:
    `final.keras`.
    """

    KIND: ClassVar[str] = "untrained"
    cpus: ClassVar[float] = THREADS
    gpus: ClassVar[float] = 0

    initial: Initial
    images: TrainingImages

    @property
    def label(self) -> str:
        """Builder and initializer."""
        return _label(self.initial)

    @property
    def needs(self) -> tuple[Job, ...]:
        """Nothing."""
        return ()

    @property
    def code(self) -> str:
        """What is done here, and how pixels are scaled."""
        return code_of(Untrained, estimate_statistics, "tfqdyn.datasets")

    @property
    def epochs(self) -> int:
        """None."""
        return 0

    def run(self, folder: Path, store: Store) -> Mapping[str, Any]:
        """Builds the network and lets batch norms see images once."""
        import keras

        keras.backend.clear_session()
        network = self.initial.build()
        trained = self.images.load().x_train
        images = trained[np.arange(min(STATISTICS_BATCH, len(trained)))]
        estimate_statistics(network, datasets.preprocess(images, TrainingConfig.preprocessing))
        network.save(folder / "final.keras")
        return {"status": "untrained", "reason": "", "steps_per_epoch": 0, "train_seconds": 0.0}

    def network(self, store: Store, epoch: int) -> Any:
        """The network, at any epoch."""
        from tfqdyn.network import modelfile

        return modelfile.load(store.folder(self) / "final.keras")


def estimate_statistics(network: Any, images: Any) -> None:
    """Sets the moving statistics of all batch norms to those of one batch.

    Args:
        network: a Keras model.
        images: [N, H, W, C], preprocessed.
    """
    import keras

    norms = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        network(images, training=True)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def training_of(network: Network, scale: Scale, seed: int) -> Training:
    """The training of a work's network at a scale; equal networks give equal jobs."""
    recipe = scale.recipe(network)
    checkpoints = sorted({scale.epoch(epoch, recipe) for epoch in CHECKPOINTS})
    initial, images = initial_of(network, scale, seed), images_of(network, scale, seed)
    return Training(initial, images, recipe, tuple(checkpoints))


def initial_of(network: Network, scale: Scale, seed: int) -> Initial:
    """A work's network at a scale, before its training."""
    options = dict(network.options)
    width = scale.widths.get(network.arch, 1.0)
    if width != 1.0:
        options["width"] = width
    if network.arch in HAVE_DENSE_LAYERS:
        of_scale = {"dense_units": scale.dense_units, "dropout": scale.dropout}
        options |= {name: value for name, value in of_scale.items() if value is not None}
    return Initial(network.arch, tuple(sorted(options.items())), scale.source, seed)


def images_of(network: Network, scale: Scale, seed: int) -> TrainingImages:
    """What a work's network trains on at a scale."""
    count = scale.schedules[network.recipe].images
    return TrainingImages(scale.source, count, scale.monitored_images, seed)


HAVE_DENSE_LAYERS = ("toynet", "dws_convnet", "factorizenet")


@dataclass(frozen=True)
class Analysis:
    """Analyzes a network in 8 bits; see `tfqdyn.pipeline.analyze`.

    Result: `status` of the training, `reason`, `epoch`, `steps` until then, `train_seconds` and
    `train_commit` of the whole training, and `summary` (None where it diverged). Files:
    `results.json`, `layers.csv`.
    """

    KIND: ClassVar[str] = "analyses"
    cpus: ClassVar[float] = THREADS
    gpus: ClassVar[float] = 0

    training: Training | Untrained
    epoch: int
    images: ScoredImages
    config: AnalysisConfig

    @property
    def label(self) -> str:
        """The training's, and the epoch."""
        return f"{self.training.label}-epoch{self.epoch}"

    @property
    def needs(self) -> tuple[Job, ...]:
        """The training."""
        return (self.training,)

    @property
    def code(self) -> str:
        """The analysis and all that it is made of."""
        return code_of(Analysis, "tfqdyn.pipeline", "tfqdyn.network.modelfile")

    def run(self, folder: Path, store: Store) -> Mapping[str, Any]:
        """Analyzes the network that the training kept."""
        import keras

        from tfqdyn import pipeline

        record = store.record(self.training)
        trained = record["result"]
        found = {
            "status": trained["status"],
            "reason": trained["reason"],
            "epoch": self.epoch,
            "steps": self.epoch * trained["steps_per_epoch"],
            "train_seconds": trained["train_seconds"],
            "train_commit": record["commit"],
        }
        if trained["status"] == "diverged":
            return {**found, "summary": None}
        keras.backend.clear_session()
        network = self.training.network(store, self.epoch)
        result = pipeline.analyze(network, self.images.load(), self.config)
        results.write(dataclasses.replace(result, tflite=()), folder)
        return {
            **found,
            "summary": dataclasses.asdict(result.summary),
            "model": dataclasses.asdict(result.model),
        }


def analysis_of(network: Network, scale: Scale, seed: int, epoch: int | None = None) -> Analysis:
    """The analysis of a work's network at a scale: by its recipe's study, at the end by default.

    Args:
        network: which.
        scale: how large.
        seed: of training and calibration.
        epoch: an epoch of this scale's training (`Scale.epoch`); 0 is the untrained network.
    """
    training: Training | Untrained = training_of(network, scale, seed)
    if epoch == 0:
        training = Untrained(training.initial, training.images)
    config = dataclasses.replace(scale.analyses[network.recipe], seed=seed)
    last = training.epochs if epoch is None else epoch
    return Analysis(training, last, ScoredImages(scale.source), config)


def _label(initial: Initial) -> str:
    options = dict(initial.options)
    parts = [initial.arch, options.get("initializer"), options.get("factorization")]
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", "-".join(str(part) for part in parts if part))
