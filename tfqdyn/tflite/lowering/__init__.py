"""A float .tflite file -> `Graph`: its operators as canonical nodes, weights copied.

`LOWERINGS` is the list of what is covered: operator -> rule. Weights in half precision behind
DEQUANTIZE are read as numbers; fused activations become nodes; what computes shapes is left out,
for the file says them. A file that takes one image at a time becomes a network for any number.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfqdyn.network.graph import Graph, needed
from tfqdyn.tflite.file import INDICES, Operator, TfliteFileError, TfliteModel, parse
from tfqdyn.tflite.lowering import dilation, elementwise, linear, moving, normalization, pooling
from tfqdyn.tflite.lowering.affine import without_maps
from tfqdyn.tflite.lowering.builder import FileBuilder, Rule, UncoveredError

HINT = (
    "a quantized file of the same network needs no operator to be covered: give this one with "
    "--model and that one with --tflite"
)
_DAMAGE = (ArithmeticError, IndexError, KeyError, TypeError, ValueError)
"""What numbers that contradict each other lead a rule to."""

LOWERINGS: Mapping[str, Rule] = {
    "ADD": elementwise.binary("add"),
    "AVERAGE_POOL_2D": pooling.pool("average_pool"),
    "BATCH_MATMUL": linear.product,
    "CONCATENATION": moving.concatenation,
    "CONV_2D": linear.conv,
    "DEPTHWISE_CONV_2D": linear.depthwise,
    "DEPTH_TO_SPACE": moving.depth_to_space,
    "DIV": elementwise.binary("divide"),
    "ELU": elementwise.elu,
    "EXP": elementwise.activation("exponential"),
    "EXPAND_DIMS": moving.reshape,
    "FULLY_CONNECTED": linear.dense,
    "GATHER": moving.gather,
    "GELU": elementwise.gelu,
    "HARD_SWISH": elementwise.activation("hard_silu"),
    "LEAKY_RELU": elementwise.leaky_relu,
    "LOGISTIC": elementwise.activation("sigmoid"),
    "LOG_SOFTMAX": elementwise.activation("log_softmax"),
    "MAXIMUM": elementwise.binary("maximum"),
    "MAX_POOL_2D": pooling.pool("max_pool"),
    "MEAN": pooling.mean,
    "MINIMUM": elementwise.binary("minimum"),
    "MUL": elementwise.binary("multiply"),
    "NEG": elementwise.negative,
    "PACK": moving.pack,
    "PAD": moving.pad,
    "PADV2": moving.pad,
    "PRELU": elementwise.prelu,
    "REDUCE_MAX": pooling.maximum,
    "RELU": elementwise.activation("relu"),
    "RELU6": elementwise.activation("relu6"),
    "RELU_0_TO_1": elementwise.clip(0.0, 1.0),
    "RELU_N1_TO_1": elementwise.clip(-1.0, 1.0),
    "RESHAPE": moving.reshape,
    "RESIZE_BILINEAR": pooling.resize("bilinear"),
    "RESIZE_NEAREST_NEIGHBOR": pooling.resize("nearest"),
    "SLICE": moving.slice_,
    "SOFTMAX": elementwise.softmax,
    "SPACE_TO_DEPTH": moving.space_to_depth,
    "SPLIT": moving.split(0, 1),
    "SPLIT_V": moving.split(2, 0),
    "SQUARE": elementwise.square,
    "SQUARED_DIFFERENCE": elementwise.squared_difference,
    "SQUEEZE": moving.reshape,
    "STRIDED_SLICE": moving.strided_slice,
    "SUB": elementwise.binary("subtract"),
    "SUM": pooling.total,
    "TANH": elementwise.activation("tanh"),
    "TRANSPOSE": moving.transpose,
    "TRANSPOSE_CONV": linear.transposed_conv,
    "UNPACK": moving.unpack,
}
"""The operators that are covered."""


@dataclass(frozen=True, eq=False)
class Lowered:
    """A file as a graph.

    Attributes:
        graph: the network.
        model: the file.
        tensors: nodes whose value a tensor of the file holds, with the tensor, in the file's order.
    """

    graph: Graph
    model: TfliteModel
    tensors: Mapping[str, int]


def lower_file(content: bytes, name: str = "model") -> Graph:
    """A float .tflite file as canonical nodes.

    Args:
        content: of the file.
        name: of the network.

    Raises:
        TfliteFileError: it cannot be read, is quantized, or has operators that are not covered, all
            of which are named.
    """
    return lower(parse(content), name).graph


def lower(model: TfliteModel, name: str = "model") -> Lowered:
    """`lower_file` of a parsed file, with the tensors that hold the nodes' values."""
    _refuse_forms(model)
    builder = FileBuilder(model)
    problems: dict[str, list[str]] = {}
    for op in normalization.joined(model, dilation.joined(model)):
        if _is_shape(model, op) or _is_constant(builder, op):
            continue
        builder.begin(op)
        try:
            _rule(op)(builder, op)
        except UncoveredError as error:
            where = repr(model.tensors[op.outputs[0]].name)
            problems.setdefault(op.kind, []).append(f"{where}: {error}")
            builder.placeholder(op)
        except _DAMAGE as error:
            raise TfliteFileError(
                f"operator {op.index} ({op.kind}) of the .tflite file contradicts itself: {error}"
            ) from error
    if problems:
        raise TfliteFileError(_told(problems))
    outputs = _outputs(builder, model)
    nodes, now = without_maps(needed(builder.nodes, outputs), outputs)
    outputs = tuple(now.get(name, name) for name in outputs)
    graph = Graph(name, nodes, builder.skipped, outputs)
    names = graph.by_name.keys()
    held = {now.get(v.node, v.node): t for t, v in builder.values.items()}
    return Lowered(graph, model, {n: t for n, t in held.items() if n in names})


def _refuse_forms(model: TfliteModel) -> None:
    """Raises TfliteFileError for a quantized file, and for inputs that are no images."""
    codes = [t for t in model.tensors if t.params is not None]
    if codes:
        raise TfliteFileError(
            f"the .tflite file is quantized: {len(codes)} of its tensors are codes, "
            f"{codes[0].name!r} first; a model must be a float file ({HINT})"
        )
    for index in model.inputs:
        tensor = model.tensors[index]
        if tensor.any_size:
            raise TfliteFileError(
                f"input {tensor.name!r} of the .tflite file takes any size; convert the network "
                "for images of one size"
            )
        if tensor.dtype != "float32" or len(tensor.shape) < 2 or 0 in tensor.shape:
            raise TfliteFileError(
                f"input {tensor.name!r} of the .tflite file is {tensor.dtype} {tensor.shape}; "
                f"expected float32 with an axis of images first ({HINT})"
            )


def _rule(op: Operator) -> Rule:
    if op.kind == normalization.KIND:
        return normalization.layer_norm
    if op.kind not in LOWERINGS:
        raise UncoveredError("no rule for this operator")
    return LOWERINGS[op.kind]


def _told(problems: Mapping[str, list[str]]) -> str:
    lines = []
    for kind, found in problems.items():
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        lines.append(f"{kind}: {found[0]}{more}")
    return (
        f"the .tflite file has {sum(map(len, problems.values()))} operators that are not covered:\n"
        + "\n".join(lines)
        + f"\n{HINT}; covered are {', '.join(LOWERINGS)}"
    )


def _is_shape(model: TfliteModel, op: Operator) -> bool:
    """Whether an operator computes only shapes and positions that no output is."""
    made = [model.tensors[t] for t in op.outputs]
    return all(t.dtype in INDICES and t.index not in model.outputs for t in made)


def _is_constant(b: FileBuilder, op: Operator) -> bool:
    """Whether an operator only rewrites a constant, which is then done here."""
    if op.kind not in ("DEQUANTIZE", "RESHAPE", "CAST", "TRANSPOSE"):
        return False
    stored = b.stored(op, 0)
    if stored is None:
        return False
    told = b.model.tensors[op.outputs[0]]
    order = b.stored(op, 1)
    if op.kind == "TRANSPOSE" and order is not None:
        stored = stored.transpose([int(k) for k in order])
    if told.dtype != "float32" or stored.dtype.kind != "f" or stored.size != math.prod(told.shape):
        return False
    b.constants[told.index] = np.asarray(stored, np.float32).reshape(told.shape)
    return True


def _outputs(b: FileBuilder, model: TfliteModel) -> tuple[str, ...]:
    """The nodes that the file returns."""
    found = [b.values.get(t) for t in model.outputs]
    inputs = {b.values[t].node for t in model.inputs}
    for value, index in zip(found, model.outputs, strict=True):
        told = repr(model.tensors[index].name)
        if value is None or value.node in inputs:
            raise TfliteFileError(
                f"output {told} of the .tflite file is not computed from its input"
            )
        if not value.batched:
            raise TfliteFileError(
                f"output {told} of the .tflite file has no axis of images ({HINT})"
            )
    return tuple(value.node for value in found if value is not None)
