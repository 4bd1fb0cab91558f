"""What trainings take on this machine, before they begin: measured steps, multiplied out.

One network of each builder trains for two epochs of a few batches by the code that trains them all,
and the second is timed, so that tracing and compiling do not count. Networks of one builder and one
batch size take the time that their multiply-accumulates have to those of the measured one.
"""

import dataclasses
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from experiments import train
from experiments.engine.image_sets import known
from experiments.engine.jobs import Training
from experiments.engine.store import Job
from tfqdyn.network import sizes
from tfqdyn.training import TrainingConfig, read_table

BATCHES = 4
"""Of an epoch that is timed."""


@dataclass(frozen=True)
class Cost:
    """What one training takes.

    Attributes:
        training: the job.
        macs: multiply-accumulates of the network for one image.
        images_per_second: of training, at one thread a process where there is no accelerator.
        hours: for all epochs of the recipe; those that are done already are counted, too.
    """

    training: Training
    macs: int
    images_per_second: float

    @cached_property
    def hours(self) -> float:
        """For all epochs."""
        images = len(self.training.images.load().x_train) * self.training.recipe.epochs
        return images / self.images_per_second / 3600


def costs(jobs: Iterable[Job]) -> list[Cost]:
    """What each of the trainings among the jobs takes, in order; measures a minute or so."""
    measured: dict[tuple[str, int], Cost] = {}
    found: list[Cost] = []
    for job in jobs:
        if not isinstance(job, Training):
            continue
        macs = sum(sizes.macs(job.initial.build()).values())
        kind = (job.initial.arch, job.recipe.batch_size)
        if kind not in measured:
            measured[kind] = Cost(job, macs, images_per_second(job))
        like = measured[kind]
        found.append(Cost(job, macs, like.images_per_second * like.macs / macs))
    return found


def images_per_second(job: Training) -> float:
    """Speed of a training in its second epoch, of `BATCHES` batches."""
    data = job.images.load()
    images = min(BATCHES * job.recipe.batch_size, len(data.x_train))
    few = train.subset(data, images, job.initial.seed)
    few = dataclasses.replace(few, x_test=few.x_test[:1], y_test=known(few.y_test)[:1])
    with tempfile.TemporaryDirectory() as folder:
        config = TrainingConfig(Path(folder), checkpoints=(), dynamics_images=0)
        recipe = job.recipe.with_epochs(2)
        train.run(job.initial.arch, dict(job.initial.options), few, recipe, config)
        return read_table(Path(folder) / "speed.csv")[-1]["images_per_second"]


def told(found: Sequence[Cost], side_by_side: int, accelerators: int) -> str:
    """The sum in a line.

    Args:
        found: what is left to train, each of them.
        side_by_side: trainings at a time; on CPUs each has a core of its own.
        accelerators: that the machine has; 0 is a machine of CPUs alone.
    """
    hours = sum(cost.hours for cost in found)
    where = f"accelerators: {accelerators}" if accelerators else "CPUs alone"
    told = (
        f"{len(found)} trainings take about {hours:,.1f} hours on this machine ({where}) one after "
        "the other"
    )
    if accelerators or side_by_side == 1:
        return told
    return f"{told}, {hours / side_by_side:,.1f} with {side_by_side} at a time"
