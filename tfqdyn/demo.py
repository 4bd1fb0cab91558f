"""What happened to MobileNet-V1, told on a small network in about a minute; nothing is downloaded.

    OUT/healthy.keras   a depthwise separable network, trained on scikit-learn's digits
    OUT/planted.keras   the same fp32 function with the fault of the published MobileNet-V1
    OUT/healthy/        what `analyze` writes of the first
    OUT/cured/          what `remedy` writes of the second, step by step
    OUT/report.html     healthy, planted and cured, over one another

One channel before each depthwise layer never gets past its ReLU. What the batch norm behind it says
of that channel changes no output, but in 8 bits a variance of next to nothing blows its folded
weights up, so that they stretch the range of the whole tensor (Sheng et al. 2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfqdyn import datasets, pipeline, remedies, report, results
from tfqdyn.config import AnalysisConfig
from tfqdyn.console import Progress, silent
from tfqdyn.datasets import Dataset
from tfqdyn.files import wholefiles
from tfqdyn.remedies.runner import Treatment
from tfqdyn.results import RunResult
from tfqdyn.show import figures

BLOCKS = (24, 24, 48, 48)
"""Channels behind each block; the third one halves the image."""
SILENT = 0
"""The channel before each depthwise layer that never gets past its ReLU."""
REMEDIES = ("zero_variance", "equalization", "bias_correction")
"""First remedies of the causes that the planted network's diagnosis names, in their order."""


@dataclass(frozen=True, eq=False)
class Story:
    """The healthy network's run, the planted one's, and its treatment."""

    healthy: RunResult
    planted: RunResult
    treatment: Treatment

    @property
    def cured(self) -> RunResult:
        """The run of the treated network."""
        return self.treatment.stages[-1].result


def network(seed: int = 0) -> keras.Model:
    """An untrained network of four depthwise separable blocks for images [32, 32, 3], 10 classes.

    The channel `SILENT` before each depthwise layer is negative, so that its ReLU stops it.
    """
    keras.utils.set_random_seed(seed)
    k = keras.layers
    inputs = keras.Input((32, 32, 3), name="images")
    x = _normalized(k.Conv2D(24, 3, 2, "same", use_bias=False, name="conv"), inputs, silent=True)
    for i, channels in enumerate(BLOCKS, start=1):
        depthwise = k.DepthwiseConv2D(
            3, 2 if i == 3 else 1, "same", use_bias=False, name=f"depthwise_{i}"
        )
        x = _normalized(depthwise, x)
        pointwise = k.Conv2D(channels, 1, use_bias=False, name=f"pointwise_{i}")
        x = _normalized(pointwise, x, silent=i < len(BLOCKS))
    x = k.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, k.Dense(10, activation="softmax", name="digit")(x), name="digits")


def _normalized(layer: Any, x: Any, silent: bool = False) -> Any:
    norm: Any = keras.layers.BatchNormalization(momentum=0.9, name=f"{layer.name}_norm")
    x = norm(layer(x))
    if silent:
        beta = np.zeros(norm.beta.shape, np.float32)
        beta[SILENT] = -30.0
        norm.beta.assign(beta)
    return keras.layers.ReLU(name=f"{layer.name}_relu")(x)


def train(model: keras.Model, data: Dataset, epochs: int, seed: int) -> None:
    """Trains on the digits in [-1, 1]."""
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    images = datasets.preprocess(data.x_train, "tf")
    keras.utils.set_random_seed(seed)
    model.fit(images, data.y_train, batch_size=32, epochs=epochs, verbose=0)  # pyright: ignore


def _depthwise_norms(model: keras.Model) -> list[Any]:
    return [model.get_layer(f"depthwise_{i}_norm") for i in range(1, len(BLOCKS) + 1)]


def heal(model: keras.Model) -> None:
    """Gives the silent channels of the depthwise layers a batch norm like any other's."""
    for norm in _depthwise_norms(model):
        _set(norm.moving_variance, 1.0)
        _set(norm.moving_mean, 0.0)


def plant(model: keras.Model, seed: int = 0, stretch: float = 40.0, spread: float = 0.7) -> None:
    """Plants the fault of the published MobileNet-V1; the fp32 function stays.

    Args:
        model: as `heal` leaves it; changed.
        seed: of the factors.
        stretch: range of the silent channels' folded weights, over that of all others. In
            MobileNet-V1 it is up to 7.8, in seven layers behind one another.
        spread: deviation of the natural logarithms of the factors that give the other channels
            unlike ranges, which the next layer's kernel divides by.
    """
    rng = np.random.default_rng(seed)
    for i, norm in enumerate(_depthwise_norms(model), start=1):
        _set(norm.moving_variance, 4e-35)  # the least of MobileNet-V1's
        factors = np.exp(spread * rng.standard_normal(norm.gamma.shape)).astype(np.float32)
        factors[SILENT] = 1.0
        norm.gamma.assign(norm.gamma * factors)
        norm.beta.assign(norm.beta * factors)
        ranges = np.ptp(model.get_layer(f"depthwise_{i}").kernel.numpy(), axis=(0, 1, 3))
        scale = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
        widest = np.delete(ranges * np.abs(scale), SILENT).max()
        gamma = stretch * widest * np.sqrt(norm.epsilon) / ranges[SILENT]
        _set(norm.gamma, float(gamma))
        kernel = model.get_layer(f"pointwise_{i}").kernel
        kernel.assign(kernel / factors[:, np.newaxis])


def _set(variable: Any, value: float) -> None:
    """Gives the silent channel a value."""
    values = variable.numpy()
    values[SILENT] = value
    variable.assign(values)


def tell(
    out: Path,
    epochs: int = 10,
    trials: int = 3,
    seed: int = 0,
    remedy_names: Sequence[str] = REMEDIES,
    progress: Progress = silent,
) -> Story:
    """Trains, analyzes, plants, analyzes, cures; writes everything to `out`.

    Args:
        out: a folder that this process alone writes to.
        epochs: passes over the 1,438 training images.
        trials: calibration draws.
        seed: of training, planting and draws.
        remedy_names: what cures.
        progress: wraps long loops.
    """
    wholefiles.prepare(out, ("report.html",))
    data = datasets.load("digits")
    config = AnalysisConfig(preprocessing="tf", trials=trials, seed=seed)
    model = network(seed)
    for _ in progress(range(1), "train on digits", 1):
        train(model, data, epochs, seed)
    heal(model)
    healthy = _analyzed(model, data, config, out, "healthy", progress)
    plant(model, seed)
    _save(model, out / "planted.keras")
    treatment = remedies.remedy(model, data, remedy_names, config, out / "cured", progress)
    paths = {"model": f"{out}/planted.keras", "data": "digits", "out": f"{out}/planted"}
    planted = replace(treatment.stages[0].result, paths=paths).named("planted")
    story = Story(healthy, planted, treatment)
    runs = {"healthy": healthy, "planted": planted, "cured": story.cured}
    report.write_report(runs, out / "report.html", "A network loses its accuracy in 8 bits")
    return story


def _analyzed(
    model: keras.Model,
    data: Dataset,
    config: AnalysisConfig,
    out: Path,
    name: str,
    progress: Progress,
) -> RunResult:
    """A network's run, with what `analyze` writes of it."""
    _save(model, out / f"{name}.keras")
    found = pipeline.analyze(model, data, config, progress).named(name)
    paths = {"model": f"{out}/{name}.keras", "data": "digits", "out": f"{out}/{name}"}
    found = replace(found, paths=paths)
    results.write(found, out / name)
    figures.save(figures.overview({"": found.layers}), out / name / "layers.png")
    report.write_report([found], out / name / "report.html")
    return found


def _save(model: keras.Model, path: Path) -> None:
    with wholefiles.replacing(path) as temporary:
        model.save(temporary)
