"""Penalties on kernels that make a network robust to quantization, for any `fit`, on any backend.

Give them to layers (`kernel_regularizer=KURE(0.1)`, `depthwise_regularizer=...`) or, all at once,
to a model that is built already:

    regularize(model, lambda axes: ChannelKURE(0.1, axes=axes))
    regularize(model, lambda axes: keras.regularizers.L2(1e-3), kinds=("depthwise",))

The second line is what Sheng et al. 2018 (slides, "L2 regularization on depthwise weights") add.
Penalties see kernels as they are trained, before any batch norm is folded in; kurtosis within a
channel is not changed by folding, kurtosis and precision of the whole tensor are.

References
    KURE: Shkolnik et al. 2020, "Robust Quantization: One Model to Rule Them All", Eq. 12-13, where
    the loss gains lambda times the mean over layers: `weight` is lambda / number of layers.
    Per channel: Yun's thesis, section 6.2.4. Range alignment: Yun & Wong 2021, section 5.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import keras

from tfqdyn.numerics.layouts import LAYOUTS

ops: Any = keras.ops  # Keras annotates their results as optional

UNIFORM = 1.8
"""Kurtosis of a uniform distribution, the one least sensitive to the step of a grid."""
TINY = 1e-30
"""Keeps a constant kernel's kurtosis defined (0), with a zero gradient."""
KINDS = {kind: layout.channel_axes for kind, layout in LAYOUTS.items() if kind != "affine"}
"""Axes that count output channels in the kernel of each kind of layer."""


@keras.saving.register_keras_serializable("tfqdyn")
class KURE(keras.regularizers.Regularizer):
    """weight * (Kurt(w) - target)^2, Kurt(w) = E[(w - mean)^4] / E[(w - mean)^2]^2, whole tensor.

    Args:
        weight: at least 0.
        target: the kurtosis aimed at; not the excess (a Gaussian has 3).
    """

    def __init__(self, weight: float = 1.0, target: float = UNIFORM) -> None:
        _check_weight(weight)
        self.weight, self.target = float(weight), float(target)

    def __call__(self, x: Any) -> Any:
        """The penalty, a scalar >= 0."""
        return self.weight * ops.square(_kurtosis(ops.reshape(x, (-1, 1))) - self.target)[0]

    def get_config(self) -> dict[str, Any]:
        """Arguments of a regularizer like this."""
        return {"weight": self.weight, "target": self.target}


@keras.saving.register_keras_serializable("tfqdyn")
class ChannelKURE(keras.regularizers.Regularizer):
    """weight * mean over channels of (Kurt(w_c) - target)^2: every channel uniform on its own.

    Args:
        weight: at least 0.
        target: the kurtosis aimed at.
        axes: axes that count output channels; see `KINDS`. Channels of one weight count 0 each.
    """

    def __init__(
        self, weight: float = 1.0, target: float = UNIFORM, axes: Collection[int] = (-1,)
    ) -> None:
        _check_weight(weight)
        self.weight, self.target, self.axes = float(weight), float(target), tuple(axes)

    def __call__(self, x: Any) -> Any:
        """The penalty, a scalar >= 0."""
        channels = _channels(x, self.axes)
        if channels.shape[0] == 1:
            return ops.zeros((), x.dtype)
        return self.weight * ops.mean(ops.square(_kurtosis(channels) - self.target))

    def get_config(self) -> dict[str, Any]:
        """Arguments of a regularizer like this."""
        return {"weight": self.weight, "target": self.target, "axes": list(self.axes)}


@keras.saving.register_keras_serializable("tfqdyn")
class RangeAlignment(keras.regularizers.Regularizer):
    """weight * (1 - average precision): channels should use the range that the tensor spans.

    Average precision is (1/C) sum_c range_c / range_tensor, range = max - min (Yun & Wong Eq. 2).
    Maximum and minimum have a gradient almost everywhere: each channel's smallest and largest
    weight drift apart, the tensor's two extreme ones together. The penalty lies in [0, weight) and
    does not change when all weights are scaled; a constant kernel counts 0.

    Args:
        weight: at least 0.
        axes: axes that count output channels; see `KINDS`.
    """

    def __init__(self, weight: float = 1.0, axes: Collection[int] = (-1,)) -> None:
        _check_weight(weight)
        self.weight, self.axes = float(weight), tuple(axes)

    def __call__(self, x: Any) -> Any:
        """The penalty, a scalar >= 0."""
        channels = _channels(x, self.axes)
        high, low = ops.max(channels, axis=0), ops.min(channels, axis=0)
        whole = ops.max(high) - ops.min(low)
        return self.weight * (whole - ops.mean(high - low)) / (whole + TINY)

    def get_config(self) -> dict[str, Any]:
        """Arguments of a regularizer like this."""
        return {"weight": self.weight, "axes": list(self.axes)}


def regularize(
    model: Any,
    make: Callable[[tuple[int, ...]], keras.regularizers.Regularizer],
    kinds: Collection[str] = tuple(KINDS),
    skip: Collection[str] = (),
) -> tuple[str, ...]:
    """Gives the kernels of a built model a regularizer each, instead of any they have.

    Args:
        model: a Keras model; nested ones are entered.
        make: makes the regularizer of one kernel from the axes that count its output channels.
        kinds: which kernels, of `KINDS`.
        skip: names of layers to leave alone (KURE's authors leave the first convolution).

    Returns:
        Names of the regularized layers, one for every kernel.

    Raises:
        ValueError: an unknown kind, or no kernel found.
    """
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise ValueError(f"kinds must be of {list(KINDS)}, received {unknown}")
    found = []
    for layer, kind, role in _kernels(model):
        if kind in kinds and layer.name not in skip:
            regularizer = make(KINDS[kind])
            prefix = "depthwise" if kind == "depthwise" else role.removesuffix("_kernel")
            setattr(layer, f"{prefix}_regularizer", regularizer)
            getattr(layer, role).regularizer = regularizer
            found.append(layer.name)
    if not found:
        raise ValueError(f"{model.name!r} has no kernel of the kinds {list(kinds)}: is it built?")
    return tuple(found)


def _kernels(model: Any) -> Iterator[tuple[Any, str, str]]:
    """(layer, kind, the kernel's attribute) of every kernel."""
    k = keras.layers
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _kernels(layer)
        elif isinstance(layer, k.SeparableConv2D):
            yield layer, "depthwise", "depthwise_kernel"
            yield layer, "conv", "pointwise_kernel"
        elif isinstance(layer, k.DepthwiseConv2D):
            yield layer, "depthwise", "kernel"
        elif isinstance(layer, k.Conv2DTranspose):
            yield layer, "transposed_conv", "kernel"
        elif isinstance(layer, k.Conv2D):
            yield layer, "conv", "kernel"
        elif isinstance(layer, k.Dense):
            yield layer, "dense", "kernel"


def _check_weight(weight: float) -> None:
    if not weight >= 0:
        raise ValueError(f"a regularizer's weight must be at least 0, received {weight}")


def _channels(x: Any, axes: tuple[int, ...]) -> Any:
    """A kernel as [weights of a channel, C]."""
    rank = len(x.shape)
    last = [axis % rank for axis in axes]
    order = [axis for axis in range(rank) if axis not in last] + last
    channels = 1
    for axis in last:
        channels *= x.shape[axis]
    return ops.reshape(ops.transpose(x, order), (-1, channels))


def _kurtosis(columns: Any) -> Any:
    """Kurtosis of every column: [R, C] -> [C]."""
    squared = ops.square(columns - ops.mean(columns, axis=0, keepdims=True))
    return ops.mean(ops.square(squared), axis=0) / (ops.square(ops.mean(squared, axis=0)) + TINY)
