"""Trains one network of the works, or continues a training that was stopped.

    python -m experiments.train --arch=dws_convnet --dataset=cifar10 --recipe=thesis \
        --epochs=15 --subset=10000 --seed=0 --workdir=runs/dws_convnet

Arguments of the builder (see `models/`) are given as `--model_option=NAME=VALUE`, repeated:

    --model_option=initializer=HeNorm --model_option=batch_norm=None --model_option=dropout=0

The workdir receives `history.csv`, `dynamics.csv`, `speed.csv`, `run.json`, the networks
`epoch_NNN.keras` and `final.keras`, and the state to continue from. The same command continues a
run that was killed, and ends with the same history: bit for bit where the backend computes on one
thread (for TensorFlow: TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1).

The exit status is 1 if the run failed: a loss that became NaN or infinite stops it at once, and a
network that still guesses after the last epoch is marked as vanished. --verbosity=1 lets the
backend's own messages through. On another Keras backend than TensorFlow (KERAS_BACKEND=jax),
TensorFlow is not loaded.
"""

import ast
import dataclasses
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import app, flags
from rich.table import Table

from tfqdyn import datasets
from tfqdyn.console import print_tables, quiet_keras
from tfqdyn.files.wholefiles import claimed
from tfqdyn.show.tables import percent

if TYPE_CHECKING:
    from tfqdyn import training

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines the command line; a function, so that importing this module defines nothing."""
    flags.DEFINE_string("arch", None, "Network to train: one of models.BUILDERS.")
    flags.DEFINE_multi_string(
        "model_option", [], "NAME=VALUE for the network's builder; repeatable."
    )
    flags.DEFINE_string("dataset", "cifar10", "cifar10, digits, or the path of an .npz archive.")
    flags.DEFINE_string("recipe", "thesis", "How to train: one of tfqdyn.training.RECIPES.")
    flags.DEFINE_integer("epochs", None, "Epochs; the recipe's 200 by default.", lower_bound=1)
    flags.DEFINE_bool("scale_decay", True, "Whether the learning rate's course fits --epochs.")
    flags.DEFINE_float(
        "batch_norm_momentum", None, "Of batch norm's statistics; 0.9 for short runs."
    )
    flags.DEFINE_integer(
        "subset", None, "Train on this many images, drawn by --seed.", lower_bound=1
    )
    flags.DEFINE_integer("seed", 0, "Seed of everything random.", lower_bound=0)
    flags.DEFINE_string("workdir", None, "Folder of the run's files.")
    flags.DEFINE_list(
        "checkpoints",
        None,
        "Epochs to keep the network of, besides the last; the thesis' 5, 50, 75, 150 by default.",
    )
    flags.DEFINE_integer(
        "validation_images",
        None,
        "Test images evaluated every epoch; all by default.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "dynamics_images", 128, "Images of the learning dynamics; 0 for none.", lower_bound=0
    )
    flags.mark_flags_as_required(["arch", "workdir"])


def parse_model_options(arch: str, options: Sequence[str]) -> dict[str, Any]:
    """Turns NAME=VALUE texts into arguments of a builder.

    Values are Python literals where they can be (`0.25`, `None`, `(64,)`), else text.

    Raises:
        ValueError: If there is no such network, an option has no value, or the builder no such
            argument.
    """
    import models

    _check_choice("arch", arch, models.BUILDERS)
    valid = [name for name in inspect.signature(models.BUILDERS[arch]).parameters]
    parsed: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or name not in valid:
            raise ValueError(
                f"--model_option={option}: {arch} takes NAME=VALUE with the names "
                f"{', '.join(valid)}."
            )
        try:
            parsed[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            parsed[name] = value
    return parsed


def _check_choice(flag: str, value: str, choices: Mapping[str, Any]) -> None:
    if value not in choices:
        raise ValueError(f"--{flag} must be one of {', '.join(choices)}; received {value!r}.")


def parse_checkpoints(epochs: Sequence[str]) -> tuple[int, ...]:
    """Turns texts into epochs.

    Raises:
        ValueError: If one is not a whole number from 1.
    """
    bad = [epoch for epoch in epochs if not epoch.isdecimal() or int(epoch) == 0]
    if bad:
        raise ValueError(f"--checkpoints must be epochs from 1, separated by commas; not {bad}.")
    return tuple(int(epoch) for epoch in epochs)


def subset(dataset: datasets.Dataset, images: int | None, seed: int) -> datasets.Dataset:
    """Returns the dataset with this many training images, drawn by the seed; None keeps all.

    Raises:
        ValueError: If there are fewer images.
    """
    if images is None:
        return dataset
    found = 0 if dataset.y_train is None else len(dataset.y_train)
    if dataset.y_train is None or images > found:
        raise ValueError(f"--subset={images}: there are {found} training images.")
    chosen = np.sort(np.random.default_rng(seed).permutation(found)[:images])
    return dataclasses.replace(
        dataset, x_train=dataset.x_train[chosen], y_train=dataset.y_train[chosen]
    )


def run(
    arch: str,
    model_options: Mapping[str, Any],
    dataset: datasets.Dataset,
    recipe: "training.Recipe",
    config: "training.TrainingConfig",
) -> "training.TrainingResult":
    """Trains one network on a dataset; images and classes decide its input and output."""
    import models
    from tfqdyn import training

    arguments = {
        "input_shape": tuple(dataset.x_test.shape[1:]),
        "num_classes": dataset.num_classes,
        **model_options,
    }
    return training.train(lambda: models.BUILDERS[arch](**arguments), dataset, recipe, config)


def result_table(arch: str, result: "training.TrainingResult", workdir: Path) -> Table:
    """What a run came to."""
    table = Table(title=arch, title_justify="left", show_header=False)
    accuracy, speed = result.test_accuracy, result.images_per_second
    rows = {
        "status": result.status,
        "because": result.reason,
        "epochs": str(result.epochs_done),
        "test accuracy": "" if accuracy is None else percent(accuracy),
        "images/s": "" if speed is None else f"{speed:.0f}",
        "files": str(workdir),
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, value)
    return table


def main(argv: Sequence[str]) -> None:
    """Runs the command line."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {' '.join(argv[1:])}.")
    if FLAGS.verbosity < 1:
        quiet_keras()
    from tfqdyn import training

    try:
        options = parse_model_options(FLAGS.arch, FLAGS.model_option)
        _check_choice("recipe", FLAGS.recipe, training.RECIPES)
        recipe = training.RECIPES[FLAGS.recipe]
        if FLAGS.epochs is not None:
            recipe = recipe.with_epochs(FLAGS.epochs, scale_decay=FLAGS.scale_decay)
        recipe = dataclasses.replace(recipe, batch_norm_momentum=FLAGS.batch_norm_momentum)
        kept = FLAGS.checkpoints
        config = training.TrainingConfig(
            workdir=Path(FLAGS.workdir),
            seed=FLAGS.seed,
            checkpoints=training.CHECKPOINTS if kept is None else parse_checkpoints(kept),
            validation_images=FLAGS.validation_images,
            dynamics_images=FLAGS.dynamics_images,
        )
        dataset = subset(datasets.load(FLAGS.dataset), FLAGS.subset, FLAGS.seed)
        with claimed(config.workdir):
            result = run(FLAGS.arch, options, dataset, recipe, config)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print_tables([result_table(FLAGS.arch, result, config.workdir)])
    sys.exit(1 if result.failed else 0)


if __name__ == "__main__":
    define_flags()
    app.run(main)
