"""TensorFlow's fused kernels instead of Keras' compositions, for the time of a training.

On a CPU, Keras composes batch normalization and optimizer updates of a dozen operations, each of
which reads and writes whole activations or weights; TensorFlow has both as one kernel. A 1x1
convolution is a matrix product, for which oneDNN's code is faster than for convolutions. All of
them compute the same numbers up to rounding. The layers stay Keras' own objects with their
variables, and are as they were when the training is over.

The only module of the package that imports TensorFlow; other backends never load it.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from tfqdyn.training.optimizers import MeasuringRMSprop, MeasuringSGD


@contextlib.contextmanager
def in_use(network: keras.Model, optimizer: MeasuringSGD | MeasuringRMSprop) -> Iterator[None]:
    """Has a network's layers and its optimizer compute by fused kernels inside the `with` block.

    What is traced (`fit`, `train_on_batch`) inside the block keeps them.

    Args:
        network: Functional or sequential model; layers inside nested models stay as they are.
        optimizer: Built optimizer that trains it.
    """
    with contextlib.ExitStack() as stack:
        for layer in network.layers:
            if isinstance(layer, keras.layers.BatchNormalization) and _is_ordinary(layer):
                _replace(stack, layer, "call", _batch_normalization)
            elif _is_pointwise(layer):
                _replace(stack, layer, "convolution_op", _pointwise_convolution)
        step = _rmsprop_step if isinstance(optimizer, MeasuringRMSprop) else _sgd_step
        _replace(stack, optimizer, "update_step", step)
        _replace(stack, optimizer, "sum_of_squares", _sum_of_squares)
        yield


def _replace(
    stack: contextlib.ExitStack, owner: Any, name: str, function: Callable[..., Any]
) -> None:
    """Puts `function(owner, its own method, ...)` before a method, until the stack is left."""
    setattr(owner, name, functools.partial(function, owner, getattr(owner, name)))
    stack.callback(delattr, owner, name)


def _is_ordinary(layer: Any) -> bool:
    """Whether a batch norm is over channels last of fp32 images, without renormalization."""
    special = layer.synchronized or getattr(layer, "renorm", False) or not layer.trainable
    return (
        not special
        and len(layer.input.shape) == 4
        and layer.axis in (-1, 3)
        and layer.compute_dtype == "float32"
    )


def _batch_normalization(
    layer: Any,
    plain: Callable[..., Any],
    inputs: Any,
    training: bool | None = None,
    mask: Any = None,
) -> Any:
    """`BatchNormalization.call`: [N, H, W, C] -> [N, H, W, C]."""
    if not training or mask is not None:
        return plain(inputs, training=training, mask=mask)
    channels = inputs.shape[-1]
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=tf.convert_to_tensor(layer.gamma) if layer.scale else tf.ones(channels),
        offset=tf.convert_to_tensor(layer.beta) if layer.center else tf.zeros(channels),
        mean=tf.zeros(0),
        variance=tf.zeros(0),
        epsilon=layer.epsilon,
        is_training=True,
    )
    # The kernel normalizes by the variance of the batch and returns the population's estimate.
    values = tf.cast(tf.size(inputs) // channels, tf.float32)
    for moving, found in (
        (layer.moving_mean, mean),
        (layer.moving_variance, variance * ((values - 1) / values)),
    ):
        moving.assign(moving * layer.momentum + found * (1 - layer.momentum))
    return outputs


def _is_pointwise(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.Conv2D
        and layer.kernel_size == (1, 1)
        and layer.strides == (1, 1)
        and layer.groups == 1
        and layer.data_format == "channels_last"
    )


def _pointwise_convolution(_: Any, plain: Callable[..., Any], inputs: Any, kernel: Any) -> Any:
    """`Conv2D.convolution_op`: [N, H, W, Ci], [1, 1, Ci, Co] -> [N, H, W, Co]."""
    height, width, channels = inputs.shape[1:]
    if height is None or width is None:
        return plain(inputs, kernel)
    weights = tf.reshape(tf.convert_to_tensor(kernel), (channels, -1))
    products = tf.matmul(tf.reshape(inputs, (-1, channels)), weights)
    return tf.reshape(products, (-1, height, width, weights.shape[-1]))


def _rmsprop_step(optimizer: Any, _: Any, gradient: Any, variable: Any, rate: Any) -> None:
    """`RMSprop.update_step`."""
    place = optimizer._get_variable_index(variable)
    tf.raw_ops.ResourceApplyRMSProp(
        var=variable.handle,
        ms=optimizer._velocities[place].value.handle,
        mom=optimizer._momentums[place].value.handle,
        lr=rate,
        rho=optimizer.rho,
        momentum=optimizer.momentum,
        epsilon=optimizer.epsilon,
        grad=gradient,
    )


def _sgd_step(
    optimizer: Any, plain: Callable[..., Any], gradient: Any, variable: Any, rate: Any
) -> None:
    """`SGD.update_step`."""
    if not optimizer.momentum:
        plain(gradient, variable, rate)
        return
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=variable.handle,
        accum=optimizer.momentums[optimizer._get_variable_index(variable)].value.handle,
        lr=rate,
        momentum=optimizer.momentum,
        grad=gradient,
    )


def _sum_of_squares(_: Any, __: Any, gradient: Any) -> Any:
    return 2 * tf.nn.l2_loss(gradient)
