"""Keras model -> `Graph`: every layer as one or several canonical nodes, weights copied.

Dropout and augmentation vanish (they do nothing at inference), a layer's own activation becomes a
node, separable convolutions become their two convolutions, swish and the hard sigmoids their
parts, `Rescaling`, `Normalization` and arithmetic with constants an affine node. Layers of
sequences are those of images of height 1, attention its projections, products and softmax.

`LOWERINGS` is the list of what is supported: class name -> function; `ops.takes` says which
scheme takes the nodes that they make.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from tfqdyn.network.graph import Graph, Node, needed
from tfqdyn.network.lowering import attention, elementwise, linear, spatial
from tfqdyn.network.lowering.builder import Builder
from tfqdyn.network.ops import takes
from tfqdyn.network.trace import Call, UnsupportedModelError, trace
from tfqdyn.schemes import INT8, SCHEMES, UINT8, WITHOUT_FILE

IDENTITIES = {
    "Activation": "is linear",
    "ActivityRegularization": "acts on the loss only",
    "Dropout": "is off at inference",
    "GaussianDropout": "is off at inference",
    "GaussianNoise": "is off at inference",
    "Identity": "passes its input on",
    "SpatialDropout1D": "is off at inference",
    "SpatialDropout2D": "is off at inference",
    "StochasticDepth": "is off at inference",
    "AlphaDropout": "is off at inference",
}

AUGMENTATIONS = (
    "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast",
    "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur",
    "RandomGrayscale", "RandomHeight", "RandomHue", "RandomInvert", "RandomPerspective",
    "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear",
    "RandomTranslation", "RandomWidth", "RandomZoom",
)  # fmt: skip
"""Layers that do nothing at inference. `RandomCrop` is none: it crops the centre then."""


def lower(model: Any, scheme: str | None = UINT8) -> Graph:
    """The model as canonical nodes; its function is unchanged.

    Args:
        model: a functional or sequential model of Keras 3 or tf_keras, channels last, fixed input
            sizes.
        scheme: one of `ops.OURS` that must take every node; None where TensorFlow's converter
            decides, or nothing is made.

    Raises:
        UnsupportedModelError: names every layer that is not supported, and what is; or that the
            scheme does not take, and the schemes that do.
    """
    traced = trace(model)
    for call in traced.calls:
        if not call.inputs and None in call.output_shape:
            raise UnsupportedModelError(
                f"the input size must be fixed, received {call.output_shape}; rebuild the model "
                "with an Input of the size of your images"
            )
    builder = Builder()
    problems: list[str] = []
    for call in traced.calls:
        inputs = builder.begin(call)
        try:
            value = _lower_call(builder, call, inputs)
        except UnsupportedModelError as error:
            problems.append(str(error))
            value = builder.node("unsupported", inputs)
        builder.end(value)
    if problems:
        raise UnsupportedModelError("\n".join([*problems, supported_layers()]))
    check_scheme(builder.nodes, scheme)
    outputs = [builder.value_of(name) for name in traced.outputs]
    return _without_twins(model.name, builder, outputs, traced.output_names)


def check_scheme(nodes: Iterable[Node], scheme: str | None) -> None:
    """Raises UnsupportedModelError if a scheme (None for none) does not take every node."""
    refused: dict[str, list[str]] = {}
    for node in nodes:
        if scheme is not None and not takes(scheme, node.op):
            refused.setdefault(node.op, []).append(repr(node.source))
    if refused:
        lines = [f"{op}: layers {', '.join(sorted(set(names)))}" for op, names in refused.items()]
        others = [name for name in SCHEMES if name != UINT8]  # the converter's, of any op
        others += [o for o in WITHOUT_FILE if all(takes(o, op) for op in refused)]
        ours = " with a calibrator, float layers, own errors or remedies" if scheme == INT8 else ""
        raise UnsupportedModelError(
            f"scheme {scheme!r}{ours} does not take these layers; {', '.join(others)} may"
            f"{' without' if ours else ''}:\n" + "\n".join(lines)
        )


def _without_twins(
    name: str, builder: Builder, outputs: Sequence[str], output_names: Sequence[str]
) -> Graph:
    """The graph with nodes that compute the same from the same merged.

    TFLite's converter merges them too (NASNet applies the same ReLU to one tensor four times).
    """
    kept: dict[Any, Node] = {}
    merged: dict[str, str] = {}
    for node in needed(builder.nodes, outputs):
        node = replace(node, inputs=tuple(merged.get(i, i) for i in node.inputs))
        key = (node.op, node.inputs, repr(node.config), node.output_shape)
        alone = bool(node.weights) or not node.inputs
        twin = None if alone else kept.get(key)
        if twin is None:
            kept[node.name if alone else key] = node
        else:
            merged[node.name] = twin.name
            builder.skipped[node.name] = f"computes the same as {twin.name}"
    ends = tuple(merged.get(output, output) for output in outputs)
    graph = Graph(name, tuple(kept.values()), builder.skipped, ends, tuple(output_names))
    if graph.non_finite:
        raise UnsupportedModelError(
            f"weights or constants are NaN or infinite in: {', '.join(graph.non_finite)}"
        )
    return graph


def _lower_call(b: Builder, call: Call, inputs: tuple[str, ...]) -> str:
    kind = call.kind
    layer = call.layer
    if not call.inputs:
        return b.node("input", ())
    if call.problem:
        raise UnsupportedModelError(
            f"layer {call.name!r} ({kind}) is not Keras' own, and what it calls cannot be "
            f"followed: {call.problem}; write it with keras.layers and keras.ops, or export the "
            "model (model.export('folder')) and analyze that folder"
        )
    attention.refuse_masks(call)
    if getattr(layer, "data_format", None) == "channels_first":
        raise UnsupportedModelError(f"layer {call.name!r} ({kind}) is channels_first; use NHWC")
    linear = kind == "Activation" and getattr(layer.activation, "__name__", "") == "linear"
    if linear or (kind in IDENTITIES and kind != "Activation") or kind in AUGMENTATIONS:
        b.skipped[call.name] = IDENTITIES.get(kind, "augments training images only")
        return inputs[0]
    if kind in ("TFOpLambda", "SlicingOpLambda"):
        kind = TF_FUNCTIONS.get(str(layer.get_config().get("function")), kind)
    if kind not in LOWERINGS:
        raise UnsupportedModelError(f"layer {call.name!r} ({kind}) is not supported")
    return LOWERINGS[kind](b, call, inputs)


LOWERINGS: dict[str, Callable[[Builder, Call, tuple[str, ...]], str]] = {
    "Activation": elementwise.activation,
    "Add": elementwise.merge("add"),
    "Attention": attention.attention,
    "Average": elementwise.average,
    "AveragePooling1D": spatial.pool("average_pool"),
    "AveragePooling2D": spatial.pool("average_pool"),
    "BatchNormalization": linear.batch_norm,
    "Celu": elementwise.keras_activation("celu"),
    "Concatenate": spatial.concatenate,
    "Conv1D": linear.conv,
    "Conv1DTranspose": linear.transposed_conv,
    "Conv2D": linear.conv,
    "Conv2DTranspose": linear.transposed_conv,
    "Cropping1D": spatial.crop,
    "Cropping2D": spatial.crop,
    "CustomScaleLayer": elementwise.scaled_residual,
    "Dense": linear.dense,
    "DepthwiseConv1D": linear.depthwise_conv,
    "DepthwiseConv2D": linear.depthwise_conv,
    "Dot": attention.dot,
    "Divide": elementwise.merge("divide"),
    "ELU": elementwise.keras_activation("elu"),
    "Einsum": attention.einsum,
    "EinsumDense": attention.einsum_dense,
    "Elu": elementwise.keras_activation("elu"),
    "ExpandDims": spatial.reshape,
    "Flatten": spatial.reshape,
    "Gelu": elementwise.keras_activation("gelu"),
    "GlobalAveragePooling1D": spatial.global_pool("mean"),
    "GlobalAveragePooling2D": spatial.global_pool("mean"),
    "GlobalMaxPooling1D": spatial.global_pool("global_max"),
    "GlobalMaxPooling2D": spatial.global_pool("global_max"),
    "HardShrink": elementwise.keras_activation("hard_shrink"),
    "HardSigmoid": elementwise.named_activation("hard_sigmoid"),
    "HardSilu": elementwise.named_activation("hard_silu"),
    "HardTanh": elementwise.keras_activation("hard_tanh"),
    "LayerNormalization": linear.layer_norm,
    "LayerScale": linear.layer_scale,
    "LeakyReLU": elementwise.leaky_relu,
    "LogSigmoid": elementwise.keras_activation("log_sigmoid"),
    "LogSoftmax": elementwise.named_activation("log_softmax"),
    "Matmul": attention.matmul,
    "MaxPooling1D": spatial.pool("max_pool"),
    "MaxPooling2D": spatial.pool("max_pool"),
    "Maximum": elementwise.merge("maximum"),
    "Minimum": elementwise.merge("minimum"),
    "MultiHeadAttention": attention.multi_head_attention,
    "Multiply": elementwise.merge("multiply"),
    "Normalization": linear.normalization,
    "PReLU": elementwise.prelu,
    "Pad": spatial.pad_axes,
    "Permute": spatial.permute,
    "ReLU": elementwise.relu,
    "Relu": elementwise.named_activation("relu"),
    "Relu6": elementwise.named_activation("relu6"),
    "Rescaling": linear.rescaling,
    "Reshape": spatial.reshape,
    "Selu": elementwise.keras_activation("selu"),
    "SeparableConv1D": linear.separable_conv,
    "SeparableConv2D": linear.separable_conv,
    "Sigmoid": elementwise.named_activation("sigmoid"),
    "Silu": elementwise.named_activation("silu"),
    "SoftShrink": elementwise.keras_activation("soft_shrink"),
    "Softmax": elementwise.named_activation("softmax"),
    "Softplus": elementwise.keras_activation("softplus"),
    "Softsign": elementwise.keras_activation("softsign"),
    "Squeeze": spatial.reshape,
    "Squareplus": elementwise.keras_activation("squareplus"),
    "Subtract": elementwise.merge("subtract"),
    "Swapaxes": spatial.swap_axes,
    "Tanh": elementwise.named_activation("tanh"),
    "TanhShrink": elementwise.keras_activation("tanh_shrink"),
    "Transpose": spatial.transpose,
    "TrueDivide": elementwise.merge("divide"),
    "UpSampling1D": spatial.upsampling,
    "UpSampling2D": spatial.upsampling,
    "ZeroPadding1D": spatial.pad,
    "ZeroPadding2D": spatial.pad,
}

TF_FUNCTIONS = {
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
"""TensorFlow's functions that Keras 2 files call, and the layers that do the same."""

SUPPORTED = frozenset((*LOWERINGS, *IDENTITIES, *AUGMENTATIONS))
"""Class names of all layers and operations that are lowered."""


def supported_layers() -> str:
    """The sentences that end errors about layers: what is supported, and what does without."""
    return (
        f"supported layers: {', '.join(sorted(SUPPORTED))}\n"
        "two .tflite files of the network are compared whatever its layers are: the float one "
        "with --model, the quantized one with --tflite"
    )
