"""How much of a work is done.

`smoke` for tests, `reduced` for two cores in hours, `long` for two cores in days, `paper` as
published.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from experiments.engine.image_sets import Source
from experiments.engine.networks import ABLATION, Network
from tfqdyn.config import AnalysisConfig
from tfqdyn.training import RECIPES, Recipe, StepDecay

DROP = 0.1
"""What the learning rate is multiplied by where a `Schedule` says that it drops (thesis 4.4)."""


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
        drops: shares of the run, in whole epochs, after which the learning rate drops to a tenth;
            () keeps it constant, None leaves the recipe's course.
        warmup_steps: see `Recipe`.
        weight_decay: see `Recipe`.
    """

    epochs: int | None = None
    images: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    batch_norm_momentum: float | None = None
    augmented: bool = True
    drops: tuple[float, ...] | None = None
    warmup_steps: int | None = None
    weight_decay: float | None = None

    def applied(self, recipe: Recipe) -> Recipe:
        """The recipe at this size."""
        sized = recipe if self.epochs is None else recipe.with_epochs(self.epochs)
        changes = {name: getattr(self, name) for name in _OF_RECIPES}
        changes = {name: value for name, value in changes.items() if value is not None}
        if self.drops is not None:
            after = (round(share * sized.epochs) for share in self.drops)
            changes["decay"] = StepDecay(DROP, tuple(sorted(set(after))))
        if not self.augmented:
            changes["augmentation"] = None
        return dataclasses.replace(sized, **changes)


_OF_RECIPES = (
    "batch_size", "learning_rate", "batch_norm_momentum", "warmup_steps", "weight_decay",
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """A size of all experiments.

    Attributes:
        name: `"smoke"`, `"reduced"`, `"long"` or `"paper"`.
        source: the images that networks train on and are scored on.
        schedules: by recipe.
        widths: channels as a share of the works', by builder; 1 where there is none.
        analyses: calibration and trials, by study ("mobilenets" of Yun & Wong, "thesis",
            "imagenet").
        kept: names of the only networks that are trained; None for all of the works'.
        monitored_images: images that the training's history is of (`TrainingImages`).
        dense_units: widths of the dense layers of the works' small networks.
        dropout: between those dense layers; None for the works'.
        more_seeds: by network, of trainings besides the one that every network has.
    """

    name: str
    source: Source
    schedules: Mapping[str, Schedule]
    analyses: Mapping[str, AnalysisConfig]
    widths: Mapping[str, float] = field(default_factory=dict)
    kept: tuple[str, ...] | None = None
    monitored_images: int = 1000
    dense_units: tuple[int, ...] | None = None
    dropout: float | None = None
    more_seeds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

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
    source=Source("cifar10"),
    schedules={"mobilenets": Schedule(), "thesis": Schedule()},
    analyses={"mobilenets": _MOBILENETS, "thesis": _THESIS, "imagenet": _IMAGENET},
)

# Half width, a few hundred steps of 32 images: without dropout and at a fifth of the learning rate,
# for the published ones teach the DWS-ConvNets nothing in so few steps.
REDUCED = Scale(
    name="reduced",
    source=Source("cifar10"),
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
    monitored_images=200,
    dropout=0.0,
)  # fmt: skip

LONG_EPOCHS = 9
"""Of 1,407 steps: 12,663 in all, 12,500 being the least that can show the works' effects."""
LAST_TENTH = (0.9, 0.95)
"""Where the learning rate drops: a run of a sixth of the published steps builds up at the first
rate what the published course, 29,000 steps at it, does; drops any earlier hide it."""

# Half width, as many images as leave 6,000 to score (0.6 points of standard error), batches of 32.
# Without dropout: with the published 0.5 the DWS-ConvNet with gamma was at 9.9 % from GlorotUni and
# at 31 % from HeNorm after 7,035 of the steps.
LONG = Scale(
    name="long",
    source=Source("cifar10", held_out=5000),
    schedules={
        "mobilenets": Schedule(LONG_EPOCHS, None, 32, 0.01125, drops=LAST_TENTH),
        "thesis": Schedule(LONG_EPOCHS, None, 32, drops=LAST_TENTH),
    },
    analyses={
        "mobilenets": _sized(_MOBILENETS, threads=1),
        "thesis": _sized(_THESIS, threads=1),
        "imagenet": _IMAGENET,
    },
    widths=REDUCED.widths,
    dropout=0.0,
    more_seeds={n.name: (1, 2) for n in ABLATION if n.family in ("MobileNet", "DWS", "Regular")},
)

SMOKE = Scale(
    name="smoke",
    source=Source("digits"),
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
    monitored_images=64,
    dense_units=(32, 16),
    dropout=0.0,
)  # fmt: skip

SCALES: Mapping[str, Scale] = MappingProxyType({s.name: s for s in (SMOKE, REDUCED, LONG, PAPER)})


def scale_named(name: str) -> Scale:
    """A scale by its name.

    Raises:
        ValueError: there is none; the message lists them.
    """
    if name not in SCALES:
        raise ValueError(f"--scale must be one of {', '.join(SCALES)}; received {name!r}")
    return SCALES[name]
