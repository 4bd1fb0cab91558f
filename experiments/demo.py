"""The embedded default: two small nets on scikit-learn's digits, trained, analyzed, compared.

    python -m experiments.demo

trains a depthwise separable and a regular ToyNet of a quarter of the works' width, a minute each,
analyzes both in uint8 and prints their summaries side by side. Nothing is downloaded. Results:
WORKDIR/<network>/results.json, layers.csv, layers.png and the .tflite files, WORKDIR/layers.png
with both. A second call trains nothing again. --verbosity=1 lets TensorFlow's own messages through.

The works' finding at this size: the depthwise net loses more, and its average channel precision
dips at depthwise layers (Yun & Wong, Figures 1 and 5).
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import app, flags

from tfqdyn.console import print_tables, progress_bar, quiet_tensorflow
from tfqdyn.files.wholefiles import claimed

if TYPE_CHECKING:
    from tfqdyn.results import RunResult

FLAGS = flags.FLAGS
NETWORKS = ("dws_convnet", "toynet")


def define_flags() -> None:
    """Defines the command line; a function, so that importing this module defines nothing."""
    flags.DEFINE_string("workdir", "runs/demo", "Where networks and results go.")
    flags.DEFINE_integer("epochs", 8, "Passes over the 1,438 training images.", lower_bound=1)
    flags.DEFINE_float("width", 0.25, "Share of the works' channels.")
    flags.DEFINE_integer("trials", 5, "Calibration draws.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Seeds training and calibration.", lower_bound=0)


def main(argv: Sequence[str]) -> None:
    """Runs the command line."""
    if len(argv) > 1:
        raise app.UsageError(f"no arguments but flags, received {argv[1:]}")
    if FLAGS.verbosity < 1:
        quiet_tensorflow()
    from tfqdyn.show import tables

    workdir = Path(FLAGS.workdir)
    try:
        with claimed(workdir):
            found = run(workdir, FLAGS.epochs, FLAGS.width, FLAGS.trials, FLAGS.seed)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print_tables([tables.summary_table(found), *map(tables.worst_table, found)])
    print(f"Results are in {workdir}.")


def run(workdir: Path, epochs: int, width: float, trials: int, seed: int) -> "list[RunResult]":
    """Trains and analyzes both networks, and writes every result."""
    from experiments.engine import digits
    from tfqdyn import datasets, pipeline, results
    from tfqdyn.config import AnalysisConfig
    from tfqdyn.show import figures

    data = datasets.load("digits")
    config = AnalysisConfig(preprocessing="tf", trials=trials, seed=seed)
    found = []
    for name in NETWORKS:
        folder = workdir / name
        trained = digits.train(
            name, folder / "training", epochs=epochs, seed=seed, width=width, dropout=0.0
        )
        result = pipeline.analyze(trained.network, data, config, progress_bar)
        results.write(result, folder)
        figures.save(figures.overview({"": result.layers}), folder / "layers.png")
        found.append(result)
    both = {result.model.name: result.layers for result in found}
    figures.save(figures.overview(both), workdir / "layers.png")
    return found


if __name__ == "__main__":
    define_flags()
    app.run(main)
