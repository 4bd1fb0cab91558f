"""Group convolution that trains on a CPU, and is saved as Keras' own.

On a CPU Keras sends `Conv2D(groups=g)` through XLA, whose gradient of a grouped convolution is up
to a few hundred times slower than the arithmetic needs. Here the layer is a plain
`keras.layers.Conv2D(groups=g)` object, with its kernel (k, k, Ci/g, Co), whose convolution is
carried out as several ordinary ones side by side. Saved, loaded or cloned it is Keras' own layer
again, without custom objects, and computes the same numbers up to the order of the sums.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from models import initializers

# An ordinary convolution of fewer input channels than this is slower for each channel than the
# zeros cost that joining two groups into one block-diagonal kernel adds (measured, 2 cores).
FEWEST_CHANNELS = 16


def group_conv2d(
    filters: int,
    kernel_size: int,
    *,
    groups: int,
    name: str,
    strides: int = 1,
    use_bias: bool = True,
    initializer: str = initializers.DEFAULT,
) -> keras.layers.Conv2D:
    """Makes a group convolution with padded borders (`"same"`).

    Args:
        filters: Output channels Co, a multiple of the groups.
        kernel_size: Height and width of the kernel.
        groups: Number of groups g; divides input channels and filters.
        name: Name of the layer.
        strides: Step in both directions.
        use_bias: Whether to add a bias.
        initializer: Name of the kernel's initializer; fans are Keras' (k k Ci/g, k k Co).

    Returns:
        A layer, [N, H, W, Ci] -> [N, ceil(H / strides), ceil(W / strides), Co].

    Raises:
        ValueError: If the groups do not divide the channels (from Keras).
    """
    layer: Any = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        groups=groups,
        use_bias=use_bias,
        kernel_initializer=initializers.make(initializer),
        name=name,
    )
    layer.convolution_op = functools.partial(_convolve, layer, layer.convolution_op)
    return layer


def _convolve(
    layer: keras.layers.Conv2D, native: Callable[[Any, Any], Any], inputs: Any, kernel: Any
) -> Any:
    """Keras' `convolution_op` on accelerators, ordinary convolutions side by side on a CPU."""
    if layer.data_format != "channels_last" or has_fast_groups():
        return native(inputs, kernel)
    channels = inputs.shape[-1] // layer.groups
    joined = _joined_groups(layer.groups, channels)
    pieces = layer.groups // joined
    inputs_of: Any = ops.split(inputs, pieces, axis=-1)
    kernels_of: Any = ops.split(kernel, pieces, axis=-1)
    strides: Any = layer.strides
    outputs = [
        ops.conv(piece, _block_diagonal(weights, joined), strides, padding=layer.padding)
        for piece, weights in zip(inputs_of, kernels_of, strict=True)
    ]
    return ops.concatenate(outputs, axis=-1)


def has_fast_groups() -> bool:
    """Whether the backend's own group convolution is fast: not on TensorFlow's or JAX' CPU.

    PyTorch's is fast everywhere.
    """
    if keras.backend.backend() not in ("tensorflow", "jax"):
        return True
    return any(not device.startswith("cpu") for device in keras.distribution.list_devices())


def _joined_groups(groups: int, channels: int) -> int:
    """The smallest divisor of the groups that makes pieces of `FEWEST_CHANNELS` input channels."""
    divisors = (divisor for divisor in range(1, groups + 1) if groups % divisor == 0)
    return next((d for d in divisors if d * channels >= FEWEST_CHANNELS), groups)


def _block_diagonal(kernel: Any, groups: int) -> Any:
    """(k, k, C, g Co) of g groups -> the ordinary kernel (k, k, g C, g Co) with zeros between."""
    if groups == 1:
        return kernel
    height, width, channels, filters = kernel.shape
    spread: Any = ops.reshape(kernel, (height, width, 1, channels, groups, filters // groups))
    mask = ops.reshape(ops.eye(groups, dtype=kernel.dtype), (1, 1, groups, 1, groups, 1))
    return ops.reshape(spread * mask, (height, width, groups * channels, filters))
