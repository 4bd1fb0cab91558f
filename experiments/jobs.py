"""The two kinds of work that the studies share: training a network, and analyzing one."""

import dataclasses
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from experiments import train
from experiments.networks import Network, Options
from experiments.scales import CHECKPOINTS, Scale
from experiments.store import Job, Store
from tfqdyn import datasets, results
from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.training import Recipe, TrainingConfig, checkpoint_path

FAILED = ("diverged", "vanished")


@dataclass(frozen=True)
class Training:
    """Trains one network from its initialization; see `tfqdyn.training.train`.

    Result: `status` ("finished", "diverged", "vanished"), `reason`, `test_accuracy`,
    `epochs_done`. Files: those of `train`, below the job's folder.
    """

    KIND: ClassVar[str] = "trainings"
    cpus: ClassVar[float] = 2
    gpus: ClassVar[float] = 1

    arch: str
    options: Options
    dataset: str
    images: int | None
    recipe: Recipe
    seed: int
    checkpoints: tuple[int, ...]
    validation_images: int | None

    @property
    def label(self) -> str:
        """Builder and initializer."""
        options = dict(self.options)
        parts = [self.arch, options.get("initializer"), options.get("factorization")]
        return _slug("-".join(str(part) for part in parts if part))

    @property
    def needs(self) -> tuple[Job, ...]:
        """Nothing."""
        return ()

    def run(self, folder: Path, store: Store) -> Mapping[str, Any]:
        """Trains, or goes on where a run in the folder was cut."""
        import keras

        keras.backend.clear_session()
        data = train.subset(dataset_of(self.dataset), self.images, self.seed)
        config = TrainingConfig(
            folder,
            self.seed,
            checkpoints=self.checkpoints,
            validation_images=self.validation_images,
        )
        done = train.run(self.arch, dict(self.options), data, self.recipe, config)
        return {
            "status": done.status,
            "reason": done.reason,
            "epochs_done": done.epochs_done,
            "test_accuracy": done.test_accuracy,
        }

    def network(self, store: Store, epoch: int) -> Any:
        """The network after an epoch; the last one where there are no more.

        Raises:
            FileNotFoundError: the training diverged before it, or kept no network there.
        """
        from tfqdyn import modelfile

        return modelfile.load(checkpoint_path(store.folder(self), epoch, self.recipe))


def training_of(network: Network, scale: Scale, seed: int) -> Training:
    """The training of a work's network at a scale; equal networks give equal jobs."""
    options = dict(network.options)
    width = scale.widths.get(network.arch, 1.0)
    if width != 1.0:
        options["width"] = width
    if network.arch in HAVE_DENSE_LAYERS:
        of_scale = {"dense_units": scale.dense_units, "dropout": scale.dropout}
        options |= {name: value for name, value in of_scale.items() if value is not None}
    recipe = scale.recipe(network)
    checkpoints = sorted({scale.epoch(epoch, recipe) for epoch in CHECKPOINTS})
    return Training(
        network.arch,
        tuple(sorted(options.items())),
        scale.dataset,
        scale.schedules[network.recipe].images,
        recipe,
        seed,
        tuple(checkpoints),
        scale.validation_images,
    )


HAVE_DENSE_LAYERS = ("toynet", "dws_convnet", "factorizenet")


@dataclass(frozen=True)
class Analysis:
    """Analyzes a trained network in 8 bits; see `tfqdyn.pipeline.analyze`.

    Result: `status` of the training, `epoch`, and `summary` (None where the training diverged).
    Files: `results.json`, `layers.csv`.
    """

    KIND: ClassVar[str] = "analyses"
    cpus: ClassVar[float] = 2
    gpus: ClassVar[float] = 0

    training: Training
    epoch: int
    config: AnalysisConfig

    @property
    def label(self) -> str:
        """The training's, and the epoch."""
        return f"{self.training.label}-epoch{self.epoch}"

    @property
    def needs(self) -> tuple[Job, ...]:
        """The training."""
        return (self.training,)

    def run(self, folder: Path, store: Store) -> Mapping[str, Any]:
        """Analyzes the network that the training kept."""
        import keras

        from tfqdyn import pipeline

        trained = store.result(self.training)
        found = {"status": trained["status"], "reason": trained["reason"], "epoch": self.epoch}
        if trained["status"] == "diverged":
            return {**found, "summary": None}
        keras.backend.clear_session()
        network = self.training.network(store, self.epoch)
        result = pipeline.analyze(network, dataset_of(self.training.dataset), self.config)
        results.write(dataclasses.replace(result, tflite=()), folder)
        return {**found, "summary": dataclasses.asdict(result.summary), "model": result.model}


def analysis_of(network: Network, scale: Scale, seed: int, epoch: int | None = None) -> Analysis:
    """The analysis of a work's network at a scale: by its recipe's study, at the end by default.

    Args:
        network: which.
        scale: how large.
        seed: of training and calibration.
        epoch: an epoch of this scale's training (`Scale.epoch`).
    """
    config = dataclasses.replace(scale.analyses[network.recipe], seed=seed)
    training = training_of(network, scale, seed)
    return Analysis(training, training.recipe.epochs if epoch is None else epoch, config)


@functools.lru_cache(maxsize=2)
def dataset_of(source: str) -> Dataset:
    """The data set, read once a process."""
    return datasets.load(source)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text)
