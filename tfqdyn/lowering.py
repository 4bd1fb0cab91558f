"""Keras model -> `Graph`: every layer as one or several canonical nodes, weights copied.

Dropout and augmentation vanish (they do nothing at inference), a layer's own activation becomes a
node, separable convolutions become their two convolutions, swish and the hard sigmoids their
parts, `Rescaling`, `Normalization` and arithmetic with constants an affine node.

`LOWERINGS` is the list of what is supported: class name -> function.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.graph import Graph, Node
from tfqdyn.trace import Call, Slot, UnsupportedModelError, trace

IDENTITIES = {
    "Activation": "is linear",
    "ActivityRegularization": "acts on the loss only",
    "Dropout": "is off at inference",
    "GaussianDropout": "is off at inference",
    "GaussianNoise": "is off at inference",
    "Identity": "passes its input on",
    "SpatialDropout2D": "is off at inference",
    "AlphaDropout": "is off at inference",
}
SUPPORTED_ACTIVATIONS = (
    "linear, relu, relu6, leaky_relu, sigmoid, hard_sigmoid, silu (swish), hard_silu (hard_swish), "
    "tanh, softmax"
)


class _Builder:
    """Collects nodes; `value[call]` is the name of the node that holds a call's output."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.value: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self._names: set[str] = set()
        self.call: Call

    def node(
        self,
        op: str,
        inputs: tuple[str, ...],
        *,
        name: str | None = None,
        shape: tuple[int, ...] | None = None,
        weights: Mapping[str, NDArray] | None = None,
        **config: Any,
    ) -> str:
        """Adds a node of the current call; returns its name."""
        name = self._unique(name or self.call.name)
        self.nodes.append(
            Node(
                name=name,
                op=op,
                inputs=inputs,
                output_shape=tuple(shape if shape is not None else self.shape),
                config=config,
                weights=weights or {},
                source=self.call.layer.name,
                shared=self.call.shared,
            )
        )
        return name

    def _unique(self, name: str) -> str:
        candidate, n = name, 1
        while candidate in self._names:
            n += 1
            candidate = f"{name}_{n}"
        self._names.add(candidate)
        return candidate

    @property
    def shape(self) -> tuple[int, ...]:
        """The output shape of the current call."""
        return tuple(int(size) for size in self.call.output_shape if size is not None)

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The output shape of a node already added."""
        return next(node.output_shape for node in reversed(self.nodes) if node.name == name)

    def activated(self, value: str, activation: Any, name: str | None = None) -> str:
        """`value` after a Keras activation (a name or a function); adds what nodes it takes."""
        kind = activation if isinstance(activation, str) else activation.__name__
        name, shape = name or f"{self.call.name}_{kind}", self.shape_of(value)
        if kind == "linear":
            return value
        if kind in ("relu", "relu6"):
            top = 6.0 if kind == "relu6" else None
            return self.node("relu", (value,), name=name, shape=shape, max_value=top)
        if kind == "leaky_relu":
            return self.node("leaky_relu", (value,), name=name, shape=shape, alpha=0.2)
        if kind in ("sigmoid", "tanh", "softmax"):
            return self.node(kind, (value,), name=name, shape=shape)
        if kind == "hard_sigmoid":
            moved = self.affine(value, 1.0, 3.0, f"{name}_shift")
            clipped = self.node("relu", (moved,), name=f"{name}_relu6", shape=shape, max_value=6.0)
            return self.affine(clipped, 1.0 / 6.0, 0.0, name)
        if kind in ("silu", "swish", "hard_silu", "hard_swish"):
            gate = "hard_sigmoid" if kind.startswith("hard") else "sigmoid"
            gated = self.activated(value, gate, f"{name}_{gate}")
            return self.node("multiply", (value, gated), name=name, shape=shape)
        raise UnsupportedModelError(
            f"layer {self.call.name!r}: activation {kind!r} has no uint8 form; supported are "
            f"{SUPPORTED_ACTIVATIONS}"
        )

    def affine(self, value: str, scale: Any, offset: Any, name: str | None = None) -> str:
        """Adds value * scale + offset, scalars or one number a channel."""
        shape = self.shape_of(value)
        channels = shape[-1]
        weights = {
            "scale": np.broadcast_to(np.asarray(scale, np.float32).reshape(-1), (channels,)),
            "offset": np.broadcast_to(np.asarray(offset, np.float32).reshape(-1), (channels,)),
        }
        return self.node("affine", (value,), name=name, shape=shape, weights=weights)


def lower(model: Any) -> Graph:
    """The model as canonical nodes; its function is unchanged.

    Args:
        model: a functional or sequential model of Keras 3 or tf_keras, one input, one output,
            channels last, fixed input size.

    Raises:
        UnsupportedModelError: names every layer that is not supported, and what is.
    """
    calls = trace(model)
    if None in calls[0].output_shape:
        raise UnsupportedModelError(
            f"the input size must be fixed, received {calls[0].output_shape}; rebuild the model "
            "with an Input of the size of your images"
        )
    builder = _Builder()
    problems: list[str] = []
    for call in calls:
        builder.call = call
        inputs = tuple(builder.value.get(name, name) for name in call.inputs)
        try:
            value = _lower_call(builder, call, inputs)
        except UnsupportedModelError as error:
            problems.append(str(error))
            value = builder.node("unsupported", inputs)
        builder.value[call.name] = value
    if problems:
        known = ", ".join(sorted({*LOWERINGS, *IDENTITIES}))
        raise UnsupportedModelError("\n".join([*problems, f"supported layers: {known}"]))
    return _without_twins(model.name, builder, builder.value[calls[-1].name])


def _without_twins(name: str, builder: _Builder, output: str) -> Graph:
    """The graph with nodes that compute the same from the same merged, the output node last.

    TFLite's converter merges them too (NASNet applies the same ReLU to one tensor four times).
    """
    kept: dict[Any, Node] = {}
    merged: dict[str, str] = {}
    for node in builder.nodes:
        node = replace(node, inputs=tuple(merged.get(i, i) for i in node.inputs))
        key = (node.op, node.inputs, repr(node.config), node.output_shape)
        twin = None if node.weights or not node.inputs else kept.get(key)
        if twin is None:
            kept[node.name if node.weights else key] = node
        else:
            merged[node.name] = twin.name
            builder.skipped[node.name] = f"computes the same as {twin.name}"
    output = merged.get(output, output)
    nodes = sorted(kept.values(), key=lambda node: node.name == output)
    return Graph(name, tuple(nodes), builder.skipped)


def _lower_call(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    kind = call.kind
    layer = call.layer
    if not call.inputs:
        return b.node("input", ())
    if getattr(layer, "data_format", None) == "channels_first":
        raise UnsupportedModelError(f"layer {call.name!r} ({kind}) is channels_first; use NHWC")
    linear = kind == "Activation" and getattr(layer.activation, "__name__", "") == "linear"
    if linear or (kind in IDENTITIES and kind != "Activation") or kind.startswith("Random"):
        b.skipped[call.name] = IDENTITIES.get(kind, "augments training images only")
        return inputs[0]
    if kind in ("TFOpLambda", "SlicingOpLambda"):
        kind = _TF_FUNCTIONS.get(str(layer.get_config().get("function")), kind)
    if kind not in LOWERINGS:
        raise UnsupportedModelError(f"layer {call.name!r} ({kind}) is not supported")
    return LOWERINGS[kind](b, call, inputs)


def _array(variable: Any) -> NDArray[np.float32]:
    value = variable.numpy() if hasattr(variable, "numpy") else variable
    return np.array(value, dtype=np.float32)


def _linear(b: _Builder, op: str, x: str, kernel: Any, layer: Any, **config: Any) -> str:
    """A kernel node with a bias (zeros where the layer has none), then the layer's activation."""
    weights = {"kernel": _array(kernel)}
    channels = b.shape[-1]
    bias = layer.bias if layer.use_bias else np.zeros(channels)
    weights["bias"] = _array(bias)
    return b.activated(b.node(op, (x,), weights=weights, **config), layer.activation)


def _spatial(layer: Any) -> dict[str, Any]:
    return {
        "strides": tuple(layer.strides),
        "padding": layer.padding,
        "dilation": tuple(layer.dilation_rate),
    }


def _conv2d(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    return _linear(b, "conv", inputs[0], layer.kernel, layer, groups=layer.groups, **_spatial(layer))


def _depthwise_conv2d(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    kernel = getattr(layer, "depthwise_kernel", None)
    return _linear(
        b, "depthwise", inputs[0], layer.kernel if kernel is None else kernel, layer,
        **_spatial(layer),
    )  # fmt: skip


def _separable_conv2d(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    kernel = _array(layer.depthwise_kernel)
    channels = kernel.shape[2] * kernel.shape[3]
    weights = {"kernel": kernel, "bias": np.zeros(channels, np.float32)}
    depthwise = b.node(
        "depthwise", inputs, name=f"{call.name}_depthwise", shape=(*b.shape[:-1], channels),
        weights=weights, **_spatial(layer),
    )  # fmt: skip
    pointwise = {"strides": (1, 1), "padding": "valid", "dilation": (1, 1), "groups": 1}
    return _linear(b, "conv", depthwise, layer.pointwise_kernel, layer, **pointwise)


def _conv2d_transpose(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    if tuple(layer.dilation_rate) != (1, 1) or layer.output_padding is not None:
        raise UnsupportedModelError(
            f"layer {call.name!r}: Conv2DTranspose with dilation or output_padding is not supported"
        )
    config = {"strides": tuple(layer.strides), "padding": layer.padding}
    shape = b.shape_of(inputs[0])
    return _linear(
        b, "transposed_conv", inputs[0], layer.kernel, layer, input_shape=shape, **config
    )


def _dense(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return _linear(b, "dense", inputs[0], call.layer.kernel, call.layer)


def _batch_norm(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    axis = layer.axis[0] if isinstance(layer.axis, (list, tuple)) else layer.axis
    rank = len(b.shape)
    if axis not in (-1, rank):
        raise UnsupportedModelError(
            f"layer {call.name!r}: batch norm over axis {axis}; only the last axis is supported"
        )
    mean, variance = _array(layer.moving_mean), _array(layer.moving_variance)
    weights = {
        "gamma": _array(layer.gamma) if layer.scale else np.ones_like(mean),
        "beta": _array(layer.beta) if layer.center else np.zeros_like(mean),
        "mean": mean,
        "variance": variance,
    }
    return b.node("batch_norm", inputs, weights=weights, epsilon=float(layer.epsilon))


def _rescaling(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.affine(inputs[0], call.layer.scale, call.layer.offset)


def _normalization(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    mean, deviation = _array(layer.mean), np.sqrt(_array(layer.variance))
    if mean.size not in (1, b.shape[-1]):
        raise UnsupportedModelError(f"layer {call.name!r} must normalize over the last axis")
    if layer.invert:
        return b.affine(inputs[0], deviation, mean)
    deviation = np.maximum(deviation, 1e-7)
    return b.affine(inputs[0], 1.0 / deviation, -mean / deviation)


def _activation(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.activated(inputs[0], call.layer.activation, call.name)


def _named_activation(kind: str) -> Callable[[_Builder, Call, tuple[str, ...]], str]:
    def lowering(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
        if kind == "softmax" and getattr(call.layer, "axis", -1) not in (-1, len(b.shape)):
            raise UnsupportedModelError(f"layer {call.name!r}: softmax over the last axis only")
        return b.activated(inputs[0], kind, call.name)

    return lowering


def _relu(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    top = getattr(layer, "max_value", None)
    slope, threshold = getattr(layer, "negative_slope", 0.0), getattr(layer, "threshold", 0.0)
    if threshold or (slope and top is not None):
        raise UnsupportedModelError(f"layer {call.name!r}: ReLU with a threshold is not supported")
    if slope:
        return b.node("leaky_relu", inputs, alpha=float(slope))
    return b.node("relu", inputs, max_value=None if top is None else float(top))


def _leaky_relu(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    slope = getattr(call.layer, "negative_slope", getattr(call.layer, "alpha", None))
    return b.node("leaky_relu", inputs, alpha=float(np.asarray(slope)))


def _prelu(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.node("prelu", inputs, weights={"alpha": _array(call.layer.alpha)})


def _operands(call: Call) -> list[Any]:
    """What a merge or an arithmetic operation reads: `Slot`s and numbers."""
    given = call.arguments
    operands = given[0] if given and isinstance(given[0], list) else list(given[:2])
    return [item for item in operands if item is not None]


def _merge(op: str) -> Callable[[_Builder, Call, tuple[str, ...]], str]:
    def lowering(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
        operands = _operands(call)
        if all(isinstance(item, Slot) for item in operands):
            value = inputs[operands[0].index]
            for n, item in enumerate(operands[1:], start=2):
                name = call.name if n == len(operands) else f"{call.name}_of_{n}"
                pair = (value, inputs[item.index])
                shape = tuple(map(max, b.shape_of(pair[0]), b.shape_of(pair[1])))
                value = b.node(op, pair, name=name, shape=shape)
            return value
        return _with_constant(b, call, op, operands, inputs[0])

    return lowering


def _with_constant(b: _Builder, call: Call, op: str, operands: list[Any], value: str) -> str:
    """Arithmetic of a tensor and a constant, as an affine node."""
    first = isinstance(operands[0], Slot)
    constant = np.asarray(operands[1] if first else operands[0], np.float32)
    if constant.size not in (1, b.shape[-1]) or op not in ("add", "subtract", "multiply", "divide"):
        raise UnsupportedModelError(
            f"layer {call.name!r}: {op} of a tensor and a constant of shape {constant.shape} is "
            "not supported; one number, or one a channel, is"
        )
    if op == "add":
        return b.affine(value, 1.0, constant)
    if op == "subtract":
        return b.affine(value, 1.0, -constant) if first else b.affine(value, -1.0, constant)
    if op == "multiply":
        return b.affine(value, constant, 0.0)
    if not first:
        raise UnsupportedModelError(f"layer {call.name!r} divides by a tensor; not supported")
    return b.affine(value, 1.0 / constant, 0.0)


def _average(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    value = inputs[0]
    for n, other in enumerate(inputs[1:], start=2):
        value = b.node("add", (value, other), name=f"{call.name}_sum_{n}")
    return b.affine(value, 1.0 / len(inputs), 0.0)


def _scaled_residual(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    scaled = b.affine(inputs[1], call.layer.scale, 0.0, f"{call.name}_scale")
    return b.node("add", (inputs[0], scaled))


def _concatenate(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    rank = len(b.shape) + 1
    return b.node("concatenate", inputs, axis=call.layer.axis % rank)


def _pool(op: str) -> Callable[[_Builder, Call, tuple[str, ...]], str]:
    def lowering(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
        layer = call.layer
        config = {"pool_size": tuple(layer.pool_size), "strides": tuple(layer.strides)}
        return b.node(op, inputs, padding=layer.padding, **config)

    return lowering


def _global_pool(op: str) -> Callable[[_Builder, Call, tuple[str, ...]], str]:
    def lowering(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
        return b.node(op, inputs, keepdims=bool(call.layer.keepdims))

    return lowering


def _pad(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.node("pad", inputs, padding=tuple(map(tuple, call.layer.padding)))


def _crop(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.node("crop", inputs, cropping=tuple(map(tuple, call.layer.cropping)))


def _reshape(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.node("reshape", inputs)


def _permute(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    return b.node("permute", inputs, dims=tuple(call.layer.dims))


def _upsampling(b: _Builder, call: Call, inputs: tuple[str, ...]) -> str:
    layer = call.layer
    if layer.interpolation not in ("nearest", "bilinear"):
        raise UnsupportedModelError(
            f"layer {call.name!r}: interpolation {layer.interpolation!r}; supported are nearest, "
            "bilinear"
        )
    return b.node("upsample", inputs, size=tuple(layer.size), interpolation=layer.interpolation)


LOWERINGS: dict[str, Callable[[_Builder, Call, tuple[str, ...]], str]] = {
    "Activation": _activation,
    "Add": _merge("add"),
    "Average": _average,
    "AveragePooling2D": _pool("average_pool"),
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Conv2D": _conv2d,
    "Conv2DTranspose": _conv2d_transpose,
    "Cropping2D": _crop,
    "CustomScaleLayer": _scaled_residual,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise_conv2d,
    "Divide": _merge("divide"),
    "Flatten": _reshape,
    "GlobalAveragePooling2D": _global_pool("mean"),
    "GlobalMaxPooling2D": _global_pool("global_max"),
    "HardSigmoid": _named_activation("hard_sigmoid"),
    "HardSilu": _named_activation("hard_silu"),
    "LeakyReLU": _leaky_relu,
    "MaxPooling2D": _pool("max_pool"),
    "Maximum": _merge("maximum"),
    "Minimum": _merge("minimum"),
    "Multiply": _merge("multiply"),
    "Normalization": _normalization,
    "PReLU": _prelu,
    "Permute": _permute,
    "ReLU": _relu,
    "Relu": _named_activation("relu"),
    "Relu6": _named_activation("relu6"),
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "SeparableConv2D": _separable_conv2d,
    "Sigmoid": _named_activation("sigmoid"),
    "Silu": _named_activation("silu"),
    "Softmax": _named_activation("softmax"),
    "Subtract": _merge("subtract"),
    "Tanh": _named_activation("tanh"),
    "TrueDivide": _merge("divide"),
    "UpSampling2D": _upsampling,
    "ZeroPadding2D": _pad,
}

_TF_FUNCTIONS = {
    "__operators__.add": "Add",
    "math.add": "Add",
    "math.subtract": "Subtract",
    "math.multiply": "Multiply",
    "math.truediv": "Divide",
    "nn.relu": "Relu",
    "nn.relu6": "Relu6",
    "nn.silu": "Silu",
    "nn.sigmoid": "Sigmoid",
    "math.sigmoid": "Sigmoid",
    "math.tanh": "Tanh",
    "nn.softmax": "Softmax",
}
