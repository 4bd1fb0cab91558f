"""What the ImageNet artifacts look at: a network with its images, and the analysis of the two.

At the scale `smoke` without photographs a small MobileNet-V1 (ReLU6) trained on digits stands in,
under a name of its own.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from experiments.engine import imagenet
from experiments.engine.artifact import Scope
from experiments.engine.image_sets import ScoredImages
from experiments.engine.imagenet import Missing, NetworkFile, Photographs
from experiments.engine.jobs import Training, estimate_statistics, training_of
from experiments.engine.networks import STAGED
from experiments.engine.provenance import code_of
from experiments.engine.store import Job, Store
from experiments.evidence.outcomes import figures_of
from tfqdyn import datasets, results
from tfqdyn.config import AnalysisConfig
from tfqdyn.console import silent
from tfqdyn.datasets import Dataset
from tfqdyn.measurement.outputs import outputs_of
from tfqdyn.measurement.sampling import calibration_split, disjoint_draws
from tfqdyn.network.folding import Folded, fold_batchnorm

STAND_IN = "MobileNet on digits (stand-in)"
LARGEST_SHARE = 2
"""A draw takes at most one image in so many of those that it may take, so that draws differ."""


SUBJECT_CODE = (
    "tfqdyn.pipeline",
    "tfqdyn.network.modelfile",
    "tfqdyn.remedies.catalogue",
    "tfqdyn.remedies.course",
)
"""Modules that decide what is read out of a subject; see `provenance.code_of`."""


@dataclass(frozen=True)
class Begun:
    """A network of `imagenet.NETWORKS` as a training from Keras' initialization begins with it.

    Its batch norms have the statistics of the first `STATISTICS_BATCH` photographs, like those of
    `jobs.Untrained`.

    Attributes:
        arch: the network.
        seed: of its weights.
        images: the photographs.
    """

    arch: str
    seed: int
    images: Photographs

    def load(self) -> Any:
        """The Keras model."""
        import keras

        keras.utils.set_random_seed(self.seed)
        model = imagenet.build(self.arch, None)
        photographs = self.images.load().x_test
        first = photographs[np.arange(min(STATISTICS_BATCH, len(photographs)))]
        estimate_statistics(model, datasets.preprocess(first, imagenet.PREPROCESSING[self.arch]))
        return model


STATISTICS_BATCH = 64


@dataclass(frozen=True)
class Subject:
    """A network and its images.

    Attributes:
        network: a file, a network before its training, or a training of the store.
        images: photographs, or what the training is scored on.
        preprocessing: see `datasets.PREPROCESSING`.
        name: what rows call it.
        family: see `display.FAMILIES`.
    """

    network: NetworkFile | Begun | Training
    images: Photographs | ScoredImages
    preprocessing: str
    name: str = field(compare=False)
    family: str = field(compare=False)

    @property
    def label(self) -> str:
        """The builder's name, with what it was trained on where that is not ImageNet."""
        if isinstance(self.network, NetworkFile):
            return self.network.arch
        if isinstance(self.network, Begun):
            return f"{self.network.arch}-untrained"
        return f"{self.network.initial.arch}-stand_in"

    @property
    def needs(self) -> tuple[Job, ...]:
        """The training, if it is one."""
        return (self.network,) if isinstance(self.network, Training) else ()

    def dataset(self) -> Dataset:
        """The images."""
        return self.images.load()

    def folded(self, store: Store, activation: str | None = None) -> Folded:
        """The network, batch norms folded, checked against the images.

        Args:
            store: has the training, if it is one.
            activation: "relu" takes the bound off every bounded ReLU, without retraining.

        Raises:
            DataError: the images do not fit the network.
        """
        import keras

        from tfqdyn.network.lowering import lower
        from tfqdyn.remedies.equalization import without_bounds

        keras.backend.clear_session()
        if isinstance(self.network, Training):
            model = self.network.network(store, self.network.epochs)
        else:
            model = self.network.load()
        graph = lower(model)
        classes = max(2, outputs_of(graph)[0].width)
        datasets.validate(self.dataset(), graph.input_shape, classes)
        if activation == "relu":
            graph, _ = without_bounds(graph)
        return fold_batchnorm(graph)


def subject(arch: str, scope: Scope) -> Subject | Missing:
    """A network of `imagenet.NETWORKS` on the photographs, a stand-in, or why there is none."""
    where = scope.imagenet
    if where.data is None and scope.scale.name == "smoke" and arch == "mobilenet_v1":
        training = training_of(STAGED[0], scope.scale, scope.seed)
        images = ScoredImages(scope.scale.source)
        return Subject(training, images, "tf", STAND_IN, imagenet.FAMILIES[arch])
    images = imagenet.photographs(where)
    if isinstance(images, Missing):
        return images
    network = imagenet.network(arch, where)
    if isinstance(network, Missing):
        return network
    preprocessing = imagenet.PREPROCESSING[arch]
    return Subject(network, images, preprocessing, imagenet.SHOWN[arch], imagenet.FAMILIES[arch])


def begun(arch: str, scope: Scope) -> Subject | Missing:
    """A network of `imagenet.NETWORKS` before its training, on the photographs, or why not."""
    images = imagenet.photographs(scope.imagenet)
    if isinstance(images, Missing):
        return images
    network, preprocessing = Begun(arch, scope.seed, images), imagenet.PREPROCESSING[arch]
    return Subject(network, images, preprocessing, imagenet.SHOWN[arch], imagenet.FAMILIES[arch])


@dataclass(frozen=True)
class SubjectJob:
    """What every job on one subject has.

    Attributes:
        subject: what the job looks at.
    """

    cpus: ClassVar[float] = 1
    gpus: ClassVar[float] = 0

    subject: Subject

    @property
    def label(self) -> str:
        """The subject's."""
        return self.subject.label

    @property
    def needs(self) -> tuple[Job, ...]:
        """The subject's."""
        return self.subject.needs


@dataclass(frozen=True)
class SubjectAnalysis(SubjectJob):
    """Analyzes a subject in 8 bits after remedies; calibration images are never scored.

    Result: `status` ("analyzed", or "not applicable" where a remedy refuses), `reason`, `summary`
    (None where it refuses), `images` scored and `calibration_images` used a draw, `changes` (of the
    first draw: channels or layers changed, by remedy). Files: `results.json`, `layers.csv`.

    Attributes:
        subject: what is analyzed.
        config: at most one in `LARGEST_SHARE` of the images that may calibrate does.
        activation: see `Subject.folded`.
        remedies: names of `tfqdyn.remedies.REMEDIES`, applied in this order.
    """

    KIND: ClassVar[str] = "subjects"
    cpus: ClassVar[float] = 2

    config: AnalysisConfig
    activation: str | None = None
    remedies: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The subject's, and what was done to it."""
        return "-".join([self.subject.label, *filter(None, [self.activation]), *self.remedies])

    @property
    def code(self) -> str:
        """The analysis, the remedies and all that they are made of."""
        return code_of(SubjectAnalysis, Subject, Begun, fitted, imagenet.split, *SUBJECT_CODE)

    def run(self, folder: Path, store: Store) -> Mapping[str, Any]:
        """Applies the remedies, every draw on its own images, and analyzes."""
        from tfqdyn.remedies import RemedyError, course

        folded, data = self.subject.folded(store, self.activation), self.subject.dataset()
        config = fitted(self.config, data)
        drawn = disjoint_draws(data, config)
        of_draws = [course.images_of(data, d.calibration, config, silent) for d in drawn]
        try:
            treated = [course.applied(self.remedies, folded, images) for images in of_draws]
        except RemedyError as error:
            return {"status": "not applicable", "reason": str(error), "summary": None}
        current = [remedied[-1].folded if remedied else folded for remedied in treated]
        result = course.analyze_stage(current, data, drawn, config, silent)
        results.write(dataclasses.replace(result, tflite=()), folder)
        return {
            "status": "analyzed",
            "reason": "",
            "summary": dataclasses.asdict(result.summary),
            "images": result.data.images,
            "calibration_images": config.calibration_size,
            "changes": {remedied.remedy: len(remedied.changes) for remedied in treated[0]},
        }


def analysis_of_subject(
    found: Subject, scope: Scope, activation: str | None = None, remedies: Sequence[str] = ()
) -> SubjectAnalysis:
    """The analysis of a subject at a scale (Yun & Wong, section 6), remedies applied."""
    return SubjectAnalysis(found, config_of(found, scope), activation, tuple(remedies))


def config_of(found: Subject, scope: Scope) -> AnalysisConfig:
    """How the subject is calibrated and scored at a scale."""
    config = scope.scale.analyses["imagenet"]
    return dataclasses.replace(config, preprocessing=found.preprocessing, seed=scope.seed)


def fitted(config: AnalysisConfig, data: Dataset) -> AnalysisConfig:
    """The configuration with no larger calibration draws than the data allow."""
    available = len(getattr(data, calibration_split(data)))
    largest = max(1, available // LARGEST_SHARE)
    return dataclasses.replace(config, calibration_size=min(config.calibration_size, largest))


def subject_columns(job: SubjectAnalysis, store: Store) -> dict[str, Any]:
    """`network`, `family`, `status` and, where it was analyzed, what it came to.

    That is: the columns of `outcomes.figures_of`, `draws`, and `images` scored and
    `calibration_images` used in each.
    """
    found = store.result(job)
    row: dict[str, Any] = {"network": job.subject.name, "family": job.subject.family}
    row["status"] = f"{found['status']}: {found['reason']}".removesuffix(": ")
    if found["summary"] is not None:
        row |= figures_of(found["summary"]) | {"draws": job.config.trials}
        row |= {name: found[name] for name in ("images", "calibration_images")}
    return row
