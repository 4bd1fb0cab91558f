"""The embedded default: two small nets on scikit-learn's digits, trained, analyzed, compared.

    python -m experiments.demo

trains a depthwise separable and a regular ToyNet of a quarter of the works' width, a minute each,
analyzes both in uint8 and prints their summaries side by side. Nothing is downloaded. Results:
WORKDIR/<network>/results.json, layers.csv, layers.png and the .tflite files, WORKDIR/layers.png
with both. A second call trains nothing again. --verbosity=1 lets TensorFlow's own messages through.

The works' finding at this size: the depthwise net loses more, and its average channel precision
dips at depthwise layers (Yun & Wong, Figures 1 and 5).
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import app, flags

from tfqdyn.console import print_tables, progress_bar, quiet_tensorflow

if TYPE_CHECKING:
    from tfqdyn.results import RunResult

_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "Where networks and results go.")
_EPOCHS = flags.DEFINE_integer("epochs", 8, "Passes over the 1,438 training images.")
_WIDTH = flags.DEFINE_float("width", 0.25, "Share of the works' channels.")
_TRIALS = flags.DEFINE_integer("trials", 5, "Calibration draws.")
_SEED = flags.DEFINE_integer("seed", 0, "Seeds training and calibration.")

NETWORKS = ("dws_convnet", "toynet")


def main(argv: Sequence[str]) -> None:
    """Runs the command line."""
    if len(argv) > 1:
        raise app.UsageError(f"no arguments but flags, received {argv[1:]}")
    if flags.FLAGS.verbosity < 1:
        quiet_tensorflow()
    from tfqdyn import tables

    workdir = Path(_WORKDIR.value)
    try:
        found = run(workdir)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print_tables([tables.summary_table(found), *map(tables.worst_table, found)])
    print(f"Results are in {workdir}.")


def run(workdir: Path) -> "list[RunResult]":
    """Trains and analyzes both networks, and writes every result."""
    import models
    from tfqdyn import datasets, figures, pipeline, results, training
    from tfqdyn.config import AnalysisConfig

    digits = datasets.load("digits")
    recipe = dataclasses.replace(
        training.RECIPES["thesis"].with_epochs(_EPOCHS.value),
        learning_rate=0.05,
        batch_size=32,
        augmentation=None,
        batch_norm_momentum=0.9,
    )
    config = AnalysisConfig(preprocessing="tf", trials=_TRIALS.value, seed=_SEED.value)
    found = []
    for name in NETWORKS:
        run = training.train(
            lambda name=name: models.BUILDERS[name](width=_WIDTH.value, dropout=0.0),
            digits,
            recipe,
            training.TrainingConfig(
                workdir / name / "training", _SEED.value, dynamics_images=0, checkpoints=()
            ),
        )
        result = pipeline.analyze(run.network, digits, config, progress_bar)
        results.write(result, workdir / name)
        figures.save(figures.overview({"": result.layers}), workdir / name / "layers.png")
        found.append(result)
    both = {str(result.model["name"]): result.layers for result in found}
    figures.save(figures.overview(both), workdir / "layers.png")
    return found


if __name__ == "__main__":
    app.run(main)
