"""What regularizers do for quantization: one small net, trained with and without each.

    python -m experiments.robust_training --workdir=runs/robust_training

trains a DWS-ConvNet of half width on 1,280 images of CIFAR-10 once without regularizer and once
with each of `RULES` (about 90 s each on two idle cores), analyzes each in true uint8 and simulated
with 4-bit weights, and prints kurtosis and average precision of the kernels beside the accuracies.
A second call trains nothing again.

Shkolnik et al. 2020 (KURE); thesis, section 6.2.4 (the channelwise form); Yun & Wong, section 5
(range alignment); Sheng et al. 2018 (L2 on depthwise kernels).
"""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from rich.table import Table

from tfqdyn.console import print_tables, progress_bar, quiet_tensorflow
from tfqdyn.files.wholefiles import claimed

SKIPPED = ("conv_1",)
"""KURE's authors leave the first convolution alone."""


def define_flags() -> None:
    """Defines the command line; a function, so that importing this module defines nothing."""
    flags.DEFINE_string("workdir", "runs/robust_training", "Where networks and results go.")
    flags.DEFINE_string("dataset", "cifar10", "cifar10, digits, or the path of an .npz archive.")
    flags.DEFINE_integer("subset", 1280, "Training images, drawn by the seed.")
    flags.DEFINE_integer("epochs", 20, "Passes over them.")
    flags.DEFINE_float("width", 0.5, "Share of the works' channels.")
    flags.DEFINE_list("rules", [], "Only these runs; all by default.")
    flags.DEFINE_integer("trials", 5, "Calibration draws.")
    flags.DEFINE_integer("seed", 0, "Seeds training and calibration.")


def rules() -> dict[str, Callable[[Any], Any]]:
    """What to do to a built network before it is trained, by the run's name.

    The weights are those of the papers where they give one: lambda = 1 over the number of kernels.
    """
    import keras

    from tfqdyn.regularizers import KURE, ChannelKURE, RangeAlignment, regularize

    def everywhere(make: Callable[[float, tuple[int, ...]], Any]) -> Callable[[Any], Any]:
        def apply(network: Any) -> None:
            kernels = len(regularize(network, lambda axes: keras.regularizers.L2(0), skip=SKIPPED))
            regularize(network, lambda axes: make(1.0 / kernels, axes), skip=SKIPPED)

        return apply

    return {
        "none": lambda network: None,
        "kure": everywhere(lambda weight, axes: KURE(weight)),
        "channel_kure": everywhere(lambda weight, axes: ChannelKURE(weight, axes=axes)),
        "alignment": everywhere(lambda weight, axes: RangeAlignment(weight, axes)),
        "l2_depthwise": lambda network: regularize(
            network, lambda axes: keras.regularizers.L2(1e-3), ("depthwise",)
        ),
    }


def trained(name: str, apply: Callable[[Any], Any], data: Any, flag: Any) -> Any:
    """One network, trained in WORKDIR/<name>/training or found there."""
    import models
    from tfqdyn import training

    def build() -> Any:
        network = models.BUILDERS["dws_convnet"](
            input_shape=tuple(data.x_test.shape[1:]),
            num_classes=data.num_classes,
            width=flag.width,
            dropout=0.0,
        )
        apply(network)
        return network

    recipe = dataclasses.replace(
        training.RECIPES["thesis"].with_epochs(flag.epochs),
        batch_size=32,
        batch_norm_momentum=0.9,
    )
    config = training.TrainingConfig(
        Path(flag.workdir) / name / "training", flag.seed, dynamics_images=0, checkpoints=(),
        validation_images=200,
    )  # fmt: skip
    return training.train(build, data, recipe, config).network


@dataclasses.dataclass(frozen=True)
class Figures:
    """What one run came to: means over the kernels that were regularized, and accuracies in [0, 1].

    Attributes:
        name: of the run.
        kurtosis: of the kernels as they were trained, whole tensor; 1.8 is uniform.
        channel_kurtosis: mean over channels, then over kernels.
        precision: average precision of the kernels as they were trained.
        folded_precision: the same with batch norms folded in, which is what is quantized.
        fp32: accuracy.
        quantized: accuracy by scheme, mean over calibration draws.
    """

    name: str
    kurtosis: float
    channel_kurtosis: float
    precision: float
    folded_precision: float
    fp32: float
    quantized: dict[str, float]


def schemes(trials: int, seed: int) -> dict[str, Any]:
    """The analyses of every network, by the name of their column and folder."""
    from tfqdyn.config import AnalysisConfig

    true = AnalysisConfig(preprocessing="tf", calibration_size=256, trials=trials, seed=seed)
    simulated = dataclasses.replace(true, scheme="simulated")

    def four(**bits: Any) -> AnalysisConfig:
        return dataclasses.replace(simulated, weight_bits=4, **bits)

    return {
        "uint8": true,
        "W4A8": four(),
        "W4A8 per channel": four(per_channel=("weights",)),
        "W4A8 mixed": four(mixed_bits=4),
        "W4A4": four(activation_bits=4),
    }


def figures_of(name: str, network: Any, data: Any, flag: Any) -> Figures:
    """Analyzes a trained network under every scheme and writes the results."""
    from tfqdyn import pipeline, results
    from tfqdyn.network.lowering import lower
    from tfqdyn.numerics import metrics

    found = {}
    for scheme, config in schemes(flag.trials, flag.seed).items():
        found[scheme] = pipeline.analyze(network, data, config, progress_bar)
        results.write(found[scheme], Path(flag.workdir) / name / scheme.replace(" ", "_"))
    kernels = [n for n in lower(network) if n.traits.numbered and n.name not in SKIPPED]
    names = {node.name for node in kernels}
    rows = [row for row in found["uint8"].layers if row.name in names]
    columns = [n.kernel.reshape(-1, n.kernel.shape[3]) for n in kernels]
    by_channel = [np.mean([metrics.excess_kurtosis(c) for c in kernel.T]) for kernel in columns]
    return Figures(
        name,
        float(np.mean([row.weights.kurtosis for row in rows if row.weights])) + 3,
        float(np.mean(by_channel)) + 3,
        float(np.mean([row.weights.average_precision for row in rows if row.weights])),
        float(np.mean([r.folded_weights.average_precision for r in rows if r.folded_weights])),
        found["uint8"].summary.fp32_accuracy,
        {scheme: result.summary.quantized_accuracy.mean for scheme, result in found.items()},
    )


def table_of(rows: list[Figures]) -> Table:
    """The runs side by side."""
    table = Table(title="kernels and accuracies", title_justify="left")
    table.add_column("regularizer")
    for title in ("kurtosis", "of channels", "precision", "folded", "fp32", *rows[0].quantized):
        table.add_column(title, justify="right")
    for row in rows:
        kernel = (row.kurtosis, row.channel_kurtosis, row.precision, row.folded_precision)
        shares = (row.fp32, *row.quantized.values())
        table.add_row(
            row.name, *(f"{x:.2f}" for x in kernel), *(f"{100 * x:.1f} %" for x in shares)
        )
    return table


def study(flag: Any) -> list[Figures]:
    """Trains and analyzes one network after the other; writes WORKDIR/<name>/figures.json.

    Args:
        flag: the flags' values, as attributes.

    Raises:
        ValueError: an unknown rule.
    """
    from experiments.train import subset
    from tfqdyn import datasets, results
    from tfqdyn.files import wholefiles

    known = rules()
    unknown = sorted(set(flag.rules) - set(known))
    if unknown:
        raise ValueError(f"--rules takes {list(known)}, received {unknown}")
    data = subset(datasets.load(flag.dataset), flag.subset, flag.seed)
    rows = []
    for name in flag.rules or known:
        rows.append(figures_of(name, trained(name, known[name], data, flag), data, flag))
        text = json.dumps(results.plain(rows[-1]), indent=1)
        wholefiles.write(Path(flag.workdir) / name / "figures.json", text.encode())
    return rows


def main(argv: list[str]) -> None:
    """Trains, analyzes, prints."""
    if len(argv) > 1:
        raise app.UsageError(f"no arguments but flags, received {argv[1:]}")
    quiet_tensorflow()
    try:
        with claimed(Path(flags.FLAGS.workdir)):
            rows = study(flags.FLAGS)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    notes = ("W4A8, W4A4: simulated.", "Precision: average channel precision, 1 is best.")
    print_tables([table_of(rows)], notes)


if __name__ == "__main__":
    define_flags()
    app.run(main)
