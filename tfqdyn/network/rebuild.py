"""`Graph` -> Keras model: a network as standard layers, to run in fp32, to train or to save."""

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfqdyn.network.graph import Graph, Node
from tfqdyn.network.ops import ACTIVATIONS
from tfqdyn.network.resizing import RESIZING, Resize

Wrap = Callable[[Node, Any], Any]
"""What to call instead of a node's layer, from the node and its layer with weights set."""


def unwrapped(node: Node, layer: Any) -> Any:
    """The layer itself."""
    return layer


def to_keras(
    graph: Graph,
    outputs: Sequence[str] | None = None,
    library: Any = keras,
    wrap: Wrap = unwrapped,
) -> Any:
    """A Keras model of standard layers that computes a graph.

    Args:
        graph: without unsupported nodes.
        outputs: nodes whose values the model returns, in that order; by default the graph's
            outputs.
        library: `keras` or `tf_keras`, whose layers to take.
        wrap: may put something around each layer, and (given an identity) after each input.

    Returns:
        A functional model. Layers are named as the nodes ("/" becomes "_"), weights are set.
    """
    values: dict[str, Any] = {}
    first: list[Any] = []
    for node in graph:
        if node.op == "input":
            first.append(library.Input(node.output_shape, name=name_of(node)))
            values[node.name] = wrap(node, lambda x: x)(first[-1])
            continue
        layer = _LAYERS[node.op](node, library)
        inputs = [values[name] for name in node.inputs]
        weights = [node.weights[role] for role in WEIGHTS.get(node.op, ())]
        if weights:
            layer.build(inputs[0].shape)
            layer.set_weights(weights)
        values[node.name] = wrap(node, layer)(inputs if len(inputs) > 1 else inputs[0])
    ends: Any = [values[name] for name in outputs or graph.outputs]
    if outputs is None and len(ends) == 1:
        (ends,) = ends
    name = _allowed(graph.name)
    name = name if re.match("[A-Za-z0-9.]", name) else f".{name}"  # where nothing stands before it
    return library.Model(first if len(first) > 1 else first[0], ends, name=name)


def name_of(node: Node) -> str:
    """The name of a node's layer: "/" as "_", characters that TensorFlow refuses as numbers."""
    return _allowed(node.name)


def _allowed(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.>-]", lambda m: f".{ord(m[0]):x}", name.replace("/", "_"))


WEIGHTS = {
    "conv": ("kernel", "bias"),
    "depthwise": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "transposed_conv": ("kernel", "bias"),
    "batch_norm": ("gamma", "beta", "mean", "variance"),
    "layer_norm": ("gamma", "beta"),
    "prelu": ("alpha",),
}
"""Roles of the weights that a node's layer has, in the layer's order."""


def _spatial(node: Node) -> dict[str, Any]:
    given = dict(node.config)
    return {
        "kernel_size": node.kernel.shape[:2],
        "strides": given["strides"],
        "padding": given["padding"],
        "dilation_rate": given.get("dilation", (1, 1)),
        "name": name_of(node),
    }


def _conv(node: Node, library: Any) -> Any:
    return library.layers.Conv2D(node.output_shape[-1], groups=node.groups, **_spatial(node))


def _depthwise(node: Node, library: Any) -> Any:
    multiplier = node.output_shape[-1] // node.groups
    return library.layers.DepthwiseConv2D(depth_multiplier=multiplier, **_spatial(node))


def _transposed(node: Node, library: Any) -> Any:
    return library.layers.Conv2DTranspose(node.output_shape[-1], **_spatial(node))


def _affine(node: Node, library: Any) -> Any:
    scale, offset = (np.asarray(node.weights[role]).tolist() for role in ("kernel", "bias"))
    return library.layers.Rescaling(scale, offset, name=name_of(node))


def _prelu(node: Node, library: Any) -> Any:
    alpha = node.weights["alpha"].shape
    shared = [i + 1 for i, n in enumerate(alpha) if n == 1 and node.output_shape[i] != 1]
    return library.layers.PReLU(shared_axes=shared or None, name=name_of(node))


def _divide(node: Node, library: Any) -> Callable[[Any], Any]:
    return lambda pair: pair[0] / pair[1]


def _matmul(node: Node, library: Any) -> Callable[[Any], Any]:
    return lambda pair: pair[0] @ pair[1]


def _activation(node: Node, library: Any) -> Any:
    """A layer; an operation where parameters are not Keras' own, for no file holds such a layer."""
    function = library.activations.get(node.op)
    own = inspect.signature(function).parameters
    if all(own[role].default == value for role, value in node.config.items()):
        return library.layers.Activation(function, name=name_of(node))
    return lambda x: function(x, **node.config)


def _cap(node: Node, library: Any) -> Callable[[Any], Any]:
    minimum = getattr(library, "ops", library.backend).minimum
    return lambda x: minimum(x, np.asarray(node.weights["cap"], np.float32))


def _pad_channels(node: Node, library: Any) -> Callable[[Any], Any]:
    widths = [(0, 0)] * len(node.output_shape) + [(node.config["before"], node.config["after"])]
    return lambda x: keras.ops.pad(x, widths)


def _slice(node: Node, library: Any) -> Callable[[Any], Any]:
    places = (slice(None), *(slice(*part) for part in node.config["parts"]))
    return lambda x: x[places]


def _pool(kind: str) -> Callable[[Node, Any], Any]:
    return lambda node, k: getattr(k.layers, kind)(**node.config, name=name_of(node))


def _plain(kind: str) -> Callable[[Node, Any], Any]:
    return lambda node, k: getattr(k.layers, kind)(name=name_of(node))


_LAYERS: dict[str, Callable[[Node, Any], Any]] = {
    "add": _plain("Add"),
    "affine": _affine,
    "average_pool": _pool("AveragePooling2D"),
    "batch_norm": lambda n, k: k.layers.BatchNormalization(
        epsilon=n.config["epsilon"], name=name_of(n)
    ),
    "cap": _cap,
    "concatenate": _pool("Concatenate"),
    "conv": _conv,
    "crop": lambda n, k: k.layers.Cropping2D(n.config["cropping"], name=name_of(n)),
    "dense": lambda n, k: k.layers.Dense(n.output_shape[-1], name=name_of(n)),
    "depthwise": _depthwise,
    "divide": _divide,
    "global_max": _pool("GlobalMaxPooling2D"),
    "layer_norm": lambda n, k: k.layers.LayerNormalization(name=name_of(n), **n.config),
    "leaky_relu": lambda n, k: k.layers.LeakyReLU(n.config["alpha"], name=name_of(n)),
    "matmul": _matmul,
    "max_pool": _pool("MaxPooling2D"),
    "maximum": _plain("Maximum"),
    "mean": _pool("GlobalAveragePooling2D"),
    "minimum": _plain("Minimum"),
    "multiply": _plain("Multiply"),
    "pad": lambda n, k: k.layers.ZeroPadding2D(n.config["padding"], name=name_of(n)),
    "pad_channels": _pad_channels,
    "permute": lambda n, k: k.layers.Permute(n.config["dims"], name=name_of(n)),
    "prelu": _prelu,
    "relu": lambda n, k: k.layers.ReLU(n.config["max_value"], name=name_of(n)),
    "resize": lambda n, k: Resize(
        n.output_shape[:2], name=name_of(n), **{key: n.config[key] for key in RESIZING}
    ),
    "reshape": lambda n, k: k.layers.Reshape(n.output_shape, name=name_of(n)),
    "slice": _slice,
    "sigmoid": lambda n, k: k.layers.Activation("sigmoid", name=name_of(n)),
    "softmax": lambda n, k: k.layers.Softmax(name=name_of(n)),
    "subtract": _plain("Subtract"),
    "tanh": lambda n, k: k.layers.Activation("tanh", name=name_of(n)),
    "transposed_conv": _transposed,
    "upsample": lambda n, k: k.layers.UpSampling2D(
        n.config["size"], interpolation=n.config["interpolation"], name=name_of(n)
    ),
    **dict.fromkeys(ACTIVATIONS, _activation),
}
