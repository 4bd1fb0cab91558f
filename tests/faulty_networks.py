"""Small networks with one fault each, and what a remedy is judged by."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import keras
import numpy as np
from numpy.typing import NDArray

from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.measurement.runs import assemble
from tfqdyn.network.folding import Folded, fold_batchnorm
from tfqdyn.network.graph import Node
from tfqdyn.network.lowering import lower
from tfqdyn.pipeline import measure_draws
from tfqdyn.remedies import CalibrationImages
from tfqdyn.results import RunResult

CONFIG = AnalysisConfig(preprocessing="tf", trials=1, calibrator="minmax", own_error=True)
CHANNELS = 16


def photographs(count: int = 72, size: int = 12) -> NDArray[np.uint8]:
    """Smooth random images: neighbouring pixels are alike, as in photographs."""
    rng = np.random.default_rng(11)
    coarse = rng.uniform(0, 256, (count, 4, 4, 3))
    return coarse.repeat(size // 4, axis=1).repeat(size // 4, axis=2).astype(np.uint8)


def small_net(bound: float | None = None) -> keras.Model:
    """conv - depthwise - pointwise - dense with batch norms whose statistics are the data's."""
    keras.utils.set_random_seed(5)
    k = keras.layers
    x = inputs = keras.Input((12, 12, 3))
    x = k.Conv2D(CHANNELS, 3, padding="same", use_bias=False, name="stem")(x)
    x = k.BatchNormalization(momentum=0.0, name="stem_bn")(x)
    x = k.ReLU(bound, name="stem_relu")(x)
    x = k.DepthwiseConv2D(3, padding="same", use_bias=False, name="dw")(x)
    x = k.BatchNormalization(momentum=0.0, name="dw_bn")(x)
    x = k.ReLU(bound, name="dw_relu")(x)
    x = k.Conv2D(2 * CHANNELS, 1, use_bias=False, name="pw")(x)
    x = k.BatchNormalization(momentum=0.0, name="pw_bn")(x)
    x = k.ReLU(bound, name="pw_relu")(x)
    x = k.GlobalAveragePooling2D(name="gap")(x)
    x = k.Dense(10, name="logits")(x)
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(2)
    for layer in ("stem", "dw", "pw"):
        norm = model.get_layer(f"{layer}_bn")
        norm.gamma.assign(rng.uniform(0.7, 1.3, norm.gamma.shape))
        norm.beta.assign(rng.normal(0.2, 0.3, norm.beta.shape))
    model.get_layer("logits").kernel.assign(rng.normal(0, 1, (2 * CHANNELS, 10)))
    model(photographs() / np.float32(127.5) - np.float32(1), training=True)
    return model


def with_kernel(folded: Folded, layer: str, change: Callable[[NDArray], NDArray]) -> Folded:
    """The network with another kernel in one layer."""
    node = folded.graph.by_name[layer]
    kernel = change(node.weights["kernel"].copy()).astype(np.float32)
    return with_node(folded, replace(node, weights={**node.weights, "kernel": kernel}))


def with_node(folded: Folded, node: Node) -> Folded:
    """The network with another node, as it came: it is its own reference."""
    nodes = tuple(node if n.name == node.name else n for n in folded.graph)
    graph = replace(folded.graph, nodes=nodes)
    return replace(folded, graph=graph, reference=graph)


@dataclass(frozen=True, eq=False)
class Ward:
    """Material to treat on, and images to judge by."""

    material: CalibrationImages
    images: NDArray[np.uint8]

    def result(self, folded: Folded, config: AnalysisConfig | None = None) -> RunResult:
        config = config or self.material.config
        data = Dataset("images", self.images, np.zeros(len(self.images), np.int64))
        fitted = self.material.indices
        judged = np.setdiff1d(np.arange(len(self.images)), fitted)
        part = measure_draws([folded], data, [fitted], judged, config)
        return assemble([part], data, config)

    def qkl(self, folded: Folded) -> float:
        quick = replace(self.material.config, own_error=False)
        return self.result(folded, quick).summary.qkl_div.mean

    def logits(self, folded: Folded) -> NDArray[np.float32]:
        return self.material.outputs(folded.graph, folded.graph.output.name)


@cache
def ward(scheme: str = "uint8") -> Ward:
    images = photographs()
    config = replace(CONFIG, scheme=scheme)
    return Ward(CalibrationImages(images, np.arange(40), config), images)


@cache
def healthy() -> Folded:
    return fold_batchnorm(lower(small_net()))


def dead_model() -> keras.Model:
    """Two depthwise channels that read nothing but zeros, as training leaves them."""
    model = small_net()
    stem, dw = model.get_layer("stem_bn"), model.get_layer("dw_bn")
    for channel in (3, 8):
        beta, gamma = stem.beta.numpy(), dw.gamma.numpy()
        mean, variance = dw.moving_mean.numpy(), dw.moving_variance.numpy()
        beta[channel], gamma[channel], mean[channel], variance[channel] = -30.0, 5.0, 0.0, 1e-34
        dw.gamma.assign(gamma)
        stem.beta.assign(beta)
        dw.moving_mean.assign(mean)
        dw.moving_variance.assign(variance)
    return model


def spread() -> Folded:
    """The healthy network with channels of very unlike scale, and the same function."""
    factors = np.geomspace(0.02, 50.0, CHANNELS)
    stem = healthy().graph.by_name["stem"]
    weights = {
        "kernel": (stem.weights["kernel"] * factors).astype(np.float32),
        "bias": (stem.weights["bias"] * factors).astype(np.float32),
    }
    norm = healthy().batch_norms["stem"]
    norms = {
        **healthy().batch_norms,
        "stem": replace(norm, gamma=norm.gamma * factors, beta=norm.beta * factors),
    }
    scaled = with_node(healthy(), replace(stem, weights=weights))
    scaled = replace(scaled, batch_norms=norms)
    return with_kernel(scaled, "dw", lambda k: k / factors[:, None])


def coarse() -> Folded:
    """A weight that meets only zeros spans the pointwise kernel: the others round coarsely."""
    model = small_net()
    norm = model.get_layer("dw_bn")
    beta = norm.beta.numpy()
    beta[3] = -30.0
    norm.beta.assign(beta)

    def change(kernel: NDArray) -> NDArray:
        kernel[..., 3, 0] = 40 * np.abs(kernel).max()
        return kernel

    return with_kernel(fold_batchnorm(lower(model)), "pw", change)
