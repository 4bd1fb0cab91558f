"""`Graph` -> Keras model: the folded network as standard layers, to run in fp32 or to save."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfqdyn.graph import Graph, Node


def to_keras(graph: Graph, outputs: Sequence[str] | None = None) -> keras.Model:
    """A Keras model of standard layers that computes a graph.

    Args:
        graph: without unsupported nodes.
        outputs: nodes whose values the model returns, in that order; by default the graph's
            output alone.

    Returns:
        A functional model. Layers are named as the nodes ("/" becomes "_"), weights are set.
    """
    values: dict[str, Any] = {}
    for node in graph:
        if node.op == "input":
            values[node.name] = keras.Input(node.output_shape, name=_name(node))
            continue
        layer = _LAYERS[node.op](node)
        inputs = [values[name] for name in node.inputs]
        values[node.name] = layer(inputs if len(inputs) > 1 else inputs[0])
        weights = [node.weights[role] for role in _WEIGHTS.get(node.op, ())]
        if weights:
            layer.set_weights(weights)
    ends: Any = values[graph.output.name]
    if outputs is not None:
        ends = [values[name] for name in outputs]
    return keras.Model(values[graph.nodes[0].name], ends, name=graph.name)


def _name(node: Node) -> str:
    return node.name.replace("/", "_")


_WEIGHTS = {
    "conv": ("kernel", "bias"),
    "depthwise": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "transposed_conv": ("kernel", "bias"),
    "batch_norm": ("gamma", "beta", "mean", "variance"),
    "prelu": ("alpha",),
}


def _spatial(node: Node) -> dict[str, Any]:
    given = dict(node.config)
    return {
        "kernel_size": node.weights["kernel"].shape[:2],
        "strides": given["strides"],
        "padding": given["padding"],
        "dilation_rate": given.get("dilation", (1, 1)),
        "name": _name(node),
    }


def _conv(node: Node) -> keras.Layer:
    filters = node.weights["kernel"].shape[3]
    return keras.layers.Conv2D(filters, groups=node.config["groups"], **_spatial(node))


def _depthwise(node: Node) -> keras.Layer:
    multiplier = node.weights["kernel"].shape[3]
    return keras.layers.DepthwiseConv2D(depth_multiplier=multiplier, **_spatial(node))


def _transposed(node: Node) -> keras.Layer:
    return keras.layers.Conv2DTranspose(node.weights["kernel"].shape[2], **_spatial(node))


def _affine(node: Node) -> keras.Layer:
    scale, offset = (np.asarray(node.weights[role]).tolist() for role in ("scale", "offset"))
    return keras.layers.Rescaling(scale, offset, name=_name(node))


def _prelu(node: Node) -> keras.Layer:
    alpha = node.weights["alpha"].shape
    shared = [i + 1 for i, n in enumerate(alpha) if n == 1 and node.output_shape[i] != 1]
    return keras.layers.PReLU(shared_axes=shared or None, name=_name(node))


def _cap(node: Node) -> Callable[[Any], Any]:
    return lambda x: keras.ops.minimum(x, np.asarray(node.weights["cap"], np.float32))


def _pool(kind: Callable[..., keras.Layer]) -> Callable[[Node], keras.Layer]:
    return lambda node: kind(**node.config, name=_name(node))


def _plain(kind: Callable[..., keras.Layer]) -> Callable[[Node], keras.Layer]:
    return lambda node: kind(name=_name(node))


_LAYERS: dict[str, Callable[[Node], Any]] = {
    "add": _plain(keras.layers.Add),
    "affine": _affine,
    "average_pool": _pool(keras.layers.AveragePooling2D),
    "batch_norm": lambda n: keras.layers.BatchNormalization(
        epsilon=n.config["epsilon"], name=_name(n)
    ),
    "cap": _cap,
    "concatenate": _pool(keras.layers.Concatenate),
    "conv": _conv,
    "crop": lambda n: keras.layers.Cropping2D(n.config["cropping"], name=_name(n)),
    "dense": lambda n: keras.layers.Dense(n.weights["kernel"].shape[1], name=_name(n)),
    "depthwise": _depthwise,
    "global_max": _pool(keras.layers.GlobalMaxPooling2D),
    "leaky_relu": lambda n: keras.layers.LeakyReLU(n.config["alpha"], name=_name(n)),
    "max_pool": _pool(keras.layers.MaxPooling2D),
    "maximum": _plain(keras.layers.Maximum),
    "mean": _pool(keras.layers.GlobalAveragePooling2D),
    "minimum": _plain(keras.layers.Minimum),
    "multiply": _plain(keras.layers.Multiply),
    "pad": lambda n: keras.layers.ZeroPadding2D(n.config["padding"], name=_name(n)),
    "permute": lambda n: keras.layers.Permute(n.config["dims"], name=_name(n)),
    "prelu": _prelu,
    "relu": lambda n: keras.layers.ReLU(n.config["max_value"], name=_name(n)),
    "reshape": lambda n: keras.layers.Reshape(n.output_shape, name=_name(n)),
    "sigmoid": lambda n: keras.layers.Activation("sigmoid", name=_name(n)),
    "softmax": lambda n: keras.layers.Softmax(name=_name(n)),
    "subtract": _plain(keras.layers.Subtract),
    "tanh": lambda n: keras.layers.Activation("tanh", name=_name(n)),
    "transposed_conv": _transposed,
    "upsample": lambda n: keras.layers.UpSampling2D(
        n.config["size"], interpolation=n.config["interpolation"], name=_name(n)
    ),
}
