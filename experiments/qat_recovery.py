"""How much of a uint8 accuracy loss three epochs of quantization-aware training win back.

    python -m experiments.qat_recovery --model=runs/dws_convnet/final.keras --out=runs/qat_recovery

The trained DWS-ConvNets of a reduced scale lose next to nothing in uint8, so the loss is planted:
the channels of every depthwise layer are multiplied by factors e^(spread * N(0, 1)) and the
pointwise layer's inputs divided by them, which leaves the fp32 network's function as it was (ReLU
commutes with positive factors) and gives the channels of each kernel unlike ranges, as batch norms
of near-zero variance do in the ImageNet MobileNet-V1. The files are those of `tfqdyn qat`, and the
planted network's, `planted.keras`.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

from tfqdyn.console import print_tables, progress_bar, quiet_tensorflow
from tfqdyn.files.wholefiles import claimed, replacing


def define_flags() -> None:
    """Defines the command line; a function, so that importing this module defines nothing."""
    flags.DEFINE_string("model", None, "A trained DWS-ConvNet with batch norms.")
    flags.DEFINE_string("data", "cifar10", "What it was trained on.")
    flags.DEFINE_string("out", "runs/qat_recovery", "Where the results go.")
    flags.DEFINE_float("spread", 1.5, "Deviation of the factors' logarithms; 0 plants nothing.")
    flags.DEFINE_integer("epochs", 3, "Passes over the training images.")
    flags.DEFINE_integer("train_images", 3000, "Training images, drawn by the seed.")
    flags.DEFINE_float("learning_rate", 1e-3, "Adam's in the first step.")
    flags.DEFINE_float("layer_loss", 0.0, "Weight of the layerwise QMSE in the loss.")
    flags.DEFINE_integer("trials", 3, "Calibration draws before training.")
    flags.DEFINE_integer("seed", 0, "Seeds factors, calibration and training.")
    flags.mark_flag_as_required("model")


def plant(model: Any, spread: float, seed: int) -> None:
    """Gives the channels of every depthwise layer unlike ranges; fp32 outputs stay.

    Args:
        model: blocks of `conv_dw_i`, `conv_dw_i_bn` with gamma, ReLU, `conv_pw_i`; changed.
        spread: deviation of the factors' natural logarithms.
        seed: of the factors.

    Raises:
        ValueError: no such blocks.
    """
    rng = np.random.default_rng(seed)
    names = {layer.name for layer in model.layers}
    blocks = [i for i in range(1, len(names)) if f"conv_dw_{i}_bn" in names]
    if not blocks:
        raise ValueError(f"{model.name!r} has no layer conv_dw_1_bn: is it a DWS-ConvNet?")
    for index in blocks:
        norm = model.get_layer(f"conv_dw_{index}_bn")
        factors = np.exp(spread * rng.standard_normal(norm.gamma.shape)).astype(np.float32)
        norm.gamma.assign(norm.gamma * factors)
        norm.beta.assign(norm.beta * factors)
        kernel = model.get_layer(f"conv_pw_{index}").kernel
        kernel.assign(kernel / factors[:, np.newaxis])


def main(argv: list[str]) -> None:
    """Plants, trains, analyzes, prints."""
    if len(argv) > 1:
        raise app.UsageError(f"no arguments but flags, received {argv[1:]}")
    quiet_tensorflow()
    from tfqdyn import datasets, qat
    from tfqdyn.config import AnalysisConfig
    from tfqdyn.network import modelfile
    from tfqdyn.show import tables

    flag = flags.FLAGS
    model, data = modelfile.load(flag.model), datasets.load(flag.data)
    plant(model, flag.spread, flag.seed)
    schedule = qat.Schedule(
        flag.epochs, 64, flag.learning_rate, flag.layer_loss, flag.train_images, flag.seed
    )
    config = AnalysisConfig(
        preprocessing="tf", calibration_size=256, trials=flag.trials, seed=flag.seed
    )
    try:
        with claimed(Path(flag.out)) as out:
            with replacing(out / "planted.keras") as temporary:
                model.save(temporary)
            done = qat.qat(model, data, schedule, "uint8", config, out, progress_bar)
    except OSError as error:
        sys.exit(f"error: {error}")
    shown = list(qat.named(done).values())
    print_tables([qat.history_table(done), tables.summary_table(shown)], shown[-1].notes)


if __name__ == "__main__":
    define_flags()
    app.run(main)
