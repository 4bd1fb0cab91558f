"""How much of a work is done: `smoke` for tests, `reduced` for two cores, `paper` as published."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from experiments.networks import Network
from tfqdyn.config import AnalysisConfig
from tfqdyn.training import RECIPES, Recipe


@dataclass(frozen=True)
class Schedule:
    """How long and on what networks of one recipe train; None leaves the recipe's own.

    Attributes:
        epochs: passes over the images; the learning rate runs its whole course in them.
        images: training images, drawn by the seed; None for all.
        batch_size: images a step.
        learning_rate: of the first epoch.
        batch_norm_momentum: see `Recipe`.
        augmented: whether images are changed at random.
    """

    epochs: int | None = None
    images: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    batch_norm_momentum: float | None = None
    augmented: bool = True

    def applied(self, recipe: Recipe) -> Recipe:
        """The recipe at this size."""
        sized = recipe if self.epochs is None else recipe.with_epochs(self.epochs)
        wanted = ("batch_size", "learning_rate", "batch_norm_momentum")
        changes = {name: getattr(self, name) for name in wanted if getattr(self, name) is not None}
        if not self.augmented:
            changes["augmentation"] = None
        return dataclasses.replace(sized, **changes)


@dataclass(frozen=True)
class Scale:
    """A size of all experiments.

    Attributes:
        name: `"smoke"`, `"reduced"` or `"paper"`.
        dataset: what the networks train on, for `datasets.load`.
        schedules: by recipe.
        widths: channels as a share of the works', by builder; 1 where there is none.
        analyses: calibration and trials, by study ("mobilenets" of Yun & Wong, "thesis",
            "imagenet").
        kept: names of the only networks that are trained; None for all of the works'.
        validation_images: test images that the training's history is of; None for all.
        dense_units: widths of the dense layers of the works' small networks.
        dropout: between those dense layers.
    """

    name: str
    dataset: str
    schedules: Mapping[str, Schedule]
    analyses: Mapping[str, AnalysisConfig]
    widths: Mapping[str, float] = field(default_factory=dict)
    kept: tuple[str, ...] | None = None
    validation_images: int | None = None
    dense_units: tuple[int, ...] | None = None
    dropout: float | None = None

    def recipe(self, network: Network) -> Recipe:
        """How the network trains at this scale."""
        return self.schedules[network.recipe].applied(RECIPES[network.recipe])

    def networks(self, study: Sequence[Network]) -> tuple[Network, ...]:
        """Those of a study's networks that this scale trains.

        Raises:
            ValueError: none of them.
        """
        found = tuple(n for n in study if self.kept is None or n.name in self.kept)
        if not found:
            raise ValueError(f"scale {self.name} keeps none of {[n.name for n in study]}")
        return found

    def epoch(self, published: int, recipe: Recipe) -> int:
        """The epoch that is as far into this scale's training as a published one of 200."""
        return max(1, round(published * recipe.epochs / PUBLISHED_EPOCHS))


PUBLISHED_EPOCHS = 200
CHECKPOINTS = (5, 50, 75, 150, 200)
"""Epochs of thesis Tables 4.3 and 4.4."""

_MOBILENETS = AnalysisConfig(  # Yun & Wong, section 3
    preprocessing="tf", calibrator="percentile_of_runs", calibration_size=800, trials=5
)
_THESIS = AnalysisConfig(  # thesis 4.4 and 5.4
    preprocessing="tf", calibrator="percentile", percentile=1.0, calibration_size=1024, trials=5
)
_IMAGENET = AnalysisConfig(  # Yun & Wong, section 6
    preprocessing="tf", calibrator="percentile_of_runs", calibration_size=2000, trials=3
)


def _sized(config: AnalysisConfig, **changes: int) -> AnalysisConfig:
    return dataclasses.replace(config, **changes)


PAPER = Scale(
    name="paper",
    dataset="cifar10",
    schedules={"mobilenets": Schedule(), "thesis": Schedule()},
    analyses={"mobilenets": _MOBILENETS, "thesis": _THESIS, "imagenet": _IMAGENET},
)

# Half width, a few hundred steps of 32 images: without dropout and at a fifth of the learning rate,
# for the published ones teach the DWS-ConvNets nothing in so few steps.
REDUCED = Scale(
    name="reduced",
    dataset="cifar10",
    schedules={
        "mobilenets": Schedule(16, 2560, 32, 0.01, 0.9),
        "thesis": Schedule(20, 1280, 32, batch_norm_momentum=0.9),
    },
    analyses={
        "mobilenets": _MOBILENETS,
        "thesis": _sized(_THESIS, trials=3, max_images=500),
        "imagenet": _IMAGENET,
    },
    widths={
        "mobilenet_v1": 0.5, "dws_convnet": 0.5, "toynet": 0.5, "factorizenet": 0.5,
        "resnet34": 0.25,
    },
    validation_images=200,
    dropout=0.0,
)  # fmt: skip

SMOKE = Scale(
    name="smoke",
    dataset="digits",
    schedules={
        "mobilenets": Schedule(2, 256, 32, 0.05, 0.9, augmented=False),
        "thesis": Schedule(4, 256, 32, 0.05, 0.9, augmented=False),
    },
    analyses={
        "mobilenets": _sized(_MOBILENETS, calibration_size=32, trials=2, max_images=64),
        "thesis": _sized(_THESIS, calibration_size=32, trials=2, max_images=64),
        "imagenet": _sized(_IMAGENET, calibration_size=32, trials=2, max_images=64),
    },
    widths={
        "mobilenet_v1": 0.125, "dws_convnet": 0.125, "toynet": 0.125, "factorizenet": 0.25,
        "resnet34": 0.125,
    },
    kept=(
        "MobileNet With Gamma GlorotUni", "DWS Conv With Gamma GlorotUni",
        "Regular Conv With Gamma GlorotUni", "ResNet34 With Gamma GlorotUni",
        "DWS Conv No BN RandNorm_Large", "DWS Conv With BN HeNorm", "DWS Conv With BN GlorotUni",
        "DWS Conv No BN GlorotUni", "Regular Conv No BN HeUni", "Regular Conv With BN GlorotUni",
        "Regular Conv", "DWS Conv", "FactorizeNet-f2",
        "MobileNet", "L2 on depthwise weights",
    ),
    validation_images=64,
    dense_units=(32, 16),
    dropout=0.0,
)  # fmt: skip

SCALES: Mapping[str, Scale] = MappingProxyType({s.name: s for s in (SMOKE, REDUCED, PAPER)})
