"""`Graph` + ranges -> TensorFlow graph with fake quantization at every point that TFLite quantizes.

Every row lives in a name scope of its own, by which `provenance` finds its operators again in the
converted file. The input, every row's output and every uint8 kernel get a
`fake_quant_with_min_max_args` node (TensorFlow's name for: round to the 8-bit grid); rows whose op
inherits keep the grid of what they read, as TFLite's kernels do. int8 kernels, symmetric with a
scale for every output channel, are rounded by the converter, by the rule of `kernel_params`.

An affine op runs as a 1x1 depthwise convolution: one integer op with an int32 offset.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfqdyn.network.graph import Graph, Node
from tfqdyn.network.ops import ACTIVATIONS
from tfqdyn.network.resizing import resized
from tfqdyn.numerics.grid import QuantParams, dequantize, from_range, quantize, symmetric
from tfqdyn.quantization.sharing import with_shared
from tfqdyn.tflite.provenance import LAYOUT, scope_of

INPUT = "input"
OUTPUT = "output"


def kernel_of(node: Node) -> NDArray[np.float32]:
    """The array that the op multiplies with."""
    return np.asarray(node.weights["kernel"], np.float32)


def kernel_params(node: Node, dtype: str = "uint8") -> QuantParams:
    """Parameters of a kernel from its raw extrema, for its form [H, W, I, K].

    uint8: the whole tensor's, asymmetric. int8: every output channel's, symmetric.
    """
    if dtype == "uint8":
        weights = kernel_of(node)
        return from_range(weights.min(), weights.max())
    return symmetric(np.abs(node.kernel).max(axis=(0, 1, 2)), axis=3)


def quantization_of(
    graph: Graph, ranges: Mapping[str, tuple[float, float]], dtype: str = "uint8"
) -> dict[str, QuantParams]:
    """The parameters of the inputs and of every row's output, by name.

    Args:
        graph: a folded graph.
        ranges: calibrated (minimum, maximum) of the inputs and of every row, by name.
        dtype: "uint8" or "int8".
    """
    ranges = ranges if dtype == "uint8" else with_shared(graph, ranges)
    params = {name: from_range(*ranges[name], dtype) for name in graph.inputs}
    for row in graph.rows:
        op = graph.by_name[row.name].traits
        if op.inherits:
            params[row.name] = params[row.producers[0]]
        else:
            params[row.name] = from_range(*(op.fixed_range or ranges[row.name]), dtype)
    return params


def input_name(index: int) -> str:
    """Name of the placeholder of the k-th input."""
    return INPUT if not index else f"{INPUT}_{index}"


def output_name(index: int) -> str:
    """Name of the identity that ends the k-th output."""
    return OUTPUT if not index else f"{OUTPUT}_{index}"


def cut_names(index: int) -> tuple[str, str]:
    """Names of the identity that ends the k-th row of a cut graph, and of what its readers read."""
    return f"{scope_of(index)}cut", f"feed{index:04d}"


def emit(
    graph: Graph,
    params: Mapping[str, QuantParams],
    float_layers: frozenset[str] = frozenset(),
    cut: bool = False,
) -> tf.compat.v1.GraphDef:
    """The fake-quantized TensorFlow graph, from its `input_name`s to its `output_name`s.

    Args:
        graph: a folded graph.
        params: parameters of the inputs and of every row's output, by name.
        float_layers: rows whose arithmetic stays in fp32.
        cut: rows do not read each other's outputs but placeholders, named by `cut_names`, and
            every row is an output.
    """
    rows = graph.rows
    row_of = {node: row for row in rows for node in (row.name, row.output)}
    scopes = {row.name: scope_of(index) for index, row in enumerate(rows)}
    emitted = tf.Graph()
    with emitted.as_default():
        dtype = params[graph.inputs[0]].dtype
        quantized: dict[str, tf.Tensor] = {}
        for index, (name, shape) in enumerate(graph.input_shapes.items()):
            held = tf.compat.v1.placeholder(tf.float32, (None, *shape), input_name(index))
            quantized[name] = fake_quantize(held, params[name])
        exact: dict[str, tf.Tensor] = {}  # fp32 values of float rows, for the float rows after them
        for node in graph.computing:
            row = row_of.get(node.name)
            if row is None:
                with tf.name_scope(LAYOUT):
                    quantized[node.name] = _EMITTERS[node.op](node, quantized[node.inputs[0]])
                    if node.inputs[0] in exact:
                        exact[node.name] = _EMITTERS[node.op](node, exact[node.inputs[0]])
                continue
            in_fp32 = row.name in float_layers
            if in_fp32:
                inputs = [exact.get(i, _detached(quantized[i])) for i in node.inputs]
            else:
                inputs = [quantized[name] for name in node.inputs]
            with tf.name_scope(scopes[row.name]):
                value = compute(node, inputs, None if in_fp32 else dtype, raw=True)
                quantized[node.name] = value
                if in_fp32:
                    exact[node.name] = value
                if node.name == row.output and (in_fp32 or not node.traits.inherits):
                    found = _detached(value) if in_fp32 else value
                    quantized[node.name] = fake_quantize(found, params[row.name])
            if cut and node.name == row.output:
                end, feed = cut_names(rows.index(row))
                tf.identity(quantized[node.name], end)
                if graph.readers[node.name]:
                    fed = tf.compat.v1.placeholder(tf.float32, value.shape, feed)
                    quantized[node.name] = fake_quantize(fed, params[row.name])
                exact.pop(node.name, None)
        for index, name in enumerate(graph.outputs):
            tf.identity(quantized[name], output_name(index))
    return emitted.as_graph_def()


def _detached(value: tf.Tensor) -> tf.Tensor:
    """The same numbers; TFLite's converter quantizes no op across this pair of casts."""
    return tf.cast(tf.cast(value, tf.float64), tf.float32)


def fake_quantize(value: tf.Tensor, params: QuantParams) -> tf.Tensor:
    """Values rounded to the grid of their parameters."""
    low, high = params.range
    return tf.quantization.fake_quant_with_min_max_args(value, min=float(low), max=float(high))


def on_grid(value: tf.Tensor, scale: float, zero_point: int, top: int) -> tf.Tensor:
    """Values [...] on the grid of codes 0 to `top`, rounded as `grid.quantize` rounds.

    In float64, as pixels that lie between two codes need it; gradients are those of rounding, 0.
    """
    steps = tf.floor(tf.cast(value, tf.float64) / scale + 0.5)
    return tf.cast(tf.clip_by_value(steps, -zero_point, top - zero_point) * scale, tf.float32)


def compute(
    node: Node, inputs: list[tf.Tensor], dtype: str | None = None, raw: bool = False
) -> tf.Tensor:
    """One op on tensors, in a graph or eagerly.

    A layer with a kernel gives its output before any activation.

    Args:
        node: the op.
        inputs: what it reads.
        dtype: "uint8" or "int8" puts its kernel on that grid; None computes in fp32.
        raw: leaves an int8 kernel as it is, for TensorFlow's converter to round.
    """
    if node.op not in _LINEAR:
        value = _EMITTERS[node.op](node, *inputs)
        top = node.config.get("max_value")
        if dtype is not None or top is None or top == 6.0:
            return value
        return _detached(tf.minimum(value, top))
    if dtype == "uint8":
        kernel = fake_quantize(tf.constant(kernel_of(node)), kernel_params(node))
    elif dtype is None or raw:
        kernel = tf.constant(kernel_of(node))
    else:
        params = kernel_params(node, dtype)
        rounded = dequantize(quantize(node.kernel, params), params)
        kernel = tf.constant(kernel_of(node.with_kernel(rounded)))
    return _LINEAR[node.op](node, inputs[0], kernel)


def _bias_of(node: Node) -> tf.Tensor:
    return tf.constant(np.asarray(node.weights["bias"], np.float32))


def _conv(node: Node, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    c = node.config
    y = tf.nn.conv2d(x, kernel, c["strides"], c["padding"].upper(), dilations=c["dilation"])
    return tf.nn.bias_add(y, _bias_of(node))


def _depthwise(node: Node, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    c = node.config
    y = tf.nn.depthwise_conv2d(
        x, kernel, (1, *c["strides"], 1), c["padding"].upper(), dilations=c["dilation"]
    )
    return tf.nn.bias_add(y, _bias_of(node))


def _transposed_conv(node: Node, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    c = node.config
    shape = tf.stack([tf.shape(x)[0], *node.output_shape])
    y = tf.nn.conv2d_transpose(x, kernel, shape, c["strides"], c["padding"].upper())
    return tf.nn.bias_add(y, _bias_of(node))


def _dense(node: Node, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.nn.bias_add(tf.matmul(x, kernel), _bias_of(node))


def _affine(node: Node, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    channels = node.output_shape[-1]
    places = prod(node.output_shape[:-1])
    image = x if len(x.shape) == 4 else tf.reshape(x, (-1, 1, places, channels))
    filters = tf.reshape(kernel, (1, 1, channels, 1))
    y = tf.nn.depthwise_conv2d(image, filters, (1, 1, 1, 1), "VALID")
    y = tf.nn.bias_add(y, _bias_of(node))
    return y if len(x.shape) == 4 else tf.reshape(y, (-1, *node.output_shape))


def _relu(node: Node, x: tf.Tensor) -> tf.Tensor:
    top = node.config["max_value"]
    if top is None or top == 6.0:
        return tf.nn.relu(x) if top is None else tf.nn.relu6(x)
    return tf.nn.relu(x)  # in 8 bits the range ends at or below `top`, and saturation clips


def _cap(node: Node, x: tf.Tensor) -> tf.Tensor:
    return tf.minimum(x, tf.constant(np.asarray(node.weights["cap"], np.float32)))


def _pool(kind: Callable[..., tf.Tensor]) -> Callable[[Node, tf.Tensor], tf.Tensor]:
    def emit_pool(node: Node, x: tf.Tensor) -> tf.Tensor:
        c = node.config
        return kind(x, c["pool_size"], c["strides"], c["padding"].upper())

    return emit_pool


def _reduce(kind: Callable[..., tf.Tensor]) -> Callable[[Node, tf.Tensor], tf.Tensor]:
    return lambda node, x: kind(x, (1, 2), keepdims=node.config["keepdims"])


def _pad(node: Node, x: tf.Tensor) -> tf.Tensor:
    return tf.pad(x, ((0, 0), *node.config["padding"], (0, 0)))


def _crop(node: Node, x: tf.Tensor) -> tf.Tensor:
    (top, _), (left, _) = node.config["cropping"]
    height, width, channels = node.output_shape
    return tf.slice(x, (0, top, left, 0), (-1, height, width, channels))


def _pad_channels(node: Node, x: tf.Tensor) -> tf.Tensor:
    widths = [(0, 0)] * len(node.output_shape) + [(node.config["before"], node.config["after"])]
    return tf.pad(x, widths)


def _slice(node: Node, x: tf.Tensor) -> tf.Tensor:
    return x[(slice(None), *(slice(*part) for part in node.config["parts"]))]


def _resize(node: Node, x: tf.Tensor) -> tf.Tensor:
    return resized(x, node.output_shape[:2], **node.config)


def _reshape(node: Node, x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(x, (-1, *node.output_shape))


def _permute(node: Node, x: tf.Tensor) -> tf.Tensor:
    return tf.transpose(x, (0, *node.config["dims"]))


def _layer_norm(node: Node, x: tf.Tensor) -> tf.Tensor:
    axes = node.config["axis"]
    mean, variance = tf.nn.moments(x, axes, keepdims=True)
    sizes = [n if axis in (0, *axes) else 1 for axis, n in enumerate((1, *node.output_shape))]
    gamma, beta = (tf.constant(node.weights[r].reshape(sizes)) for r in ("gamma", "beta"))
    return (x - mean) * tf.math.rsqrt(variance + node.config["epsilon"]) * gamma + beta


def _activation(node: Node, x: tf.Tensor) -> tf.Tensor:
    function: Any = keras.activations.get(node.op)
    return function(x, **node.config)


def _upsample(node: Node, x: tf.Tensor) -> tf.Tensor:
    method = node.config["interpolation"]
    if method == "nearest":
        return tf.compat.v1.image.resize_nearest_neighbor(
            x, node.output_shape[:2], half_pixel_centers=True
        )
    return tf.compat.v1.image.resize_bilinear(x, node.output_shape[:2], half_pixel_centers=True)


def _prelu(node: Node, x: tf.Tensor) -> tf.Tensor:
    """In the form that the converter takes for a PReLU, whose slopes it quantizes itself."""
    return tf.nn.relu(x) + tf.constant(-np.asarray(node.weights["alpha"])) * tf.nn.relu(-x)


_LINEAR: dict[str, Callable[[Node, Any, Any], Any]] = {
    "affine": _affine,
    "conv": _conv,
    "dense": _dense,
    "depthwise": _depthwise,
    "transposed_conv": _transposed_conv,
}

_EMITTERS: dict[str, Callable[..., Any]] = {
    "add": lambda node, a, b: tf.add(a, b),
    "average_pool": _pool(tf.nn.avg_pool2d),
    "cap": _cap,
    "concatenate": lambda node, *values: tf.concat(values, node.config["axis"]),
    "crop": _crop,
    "global_max": _reduce(tf.reduce_max),
    "layer_norm": _layer_norm,
    "leaky_relu": lambda node, x: tf.nn.leaky_relu(x, node.config["alpha"]),
    "matmul": lambda node, a, b: tf.matmul(a, b),
    "max_pool": _pool(tf.nn.max_pool2d),
    "maximum": lambda node, a, b: tf.maximum(a, b),
    "mean": _reduce(tf.reduce_mean),
    "minimum": lambda node, a, b: tf.minimum(a, b),
    "multiply": lambda node, a, b: tf.multiply(a, b),
    "pad": _pad,
    "pad_channels": _pad_channels,
    "permute": _permute,
    "prelu": _prelu,
    "relu": _relu,
    "reshape": _reshape,
    "resize": _resize,
    "slice": _slice,
    "sigmoid": lambda node, x: tf.sigmoid(x),
    "softmax": lambda node, x: tf.nn.softmax(x),
    "subtract": lambda node, a, b: tf.subtract(a, b),
    "tanh": lambda node, x: tf.tanh(x),
    "upsample": _upsample,
    **dict.fromkeys(ACTIVATIONS, _activation),
}
