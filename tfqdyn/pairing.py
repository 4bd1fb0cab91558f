"""Which tensor of a converted file holds which layer's output; nothing is guessed.

`fakequant` puts every row into a name scope of its own. An operator's result belongs to the row in
whose scope its last op lies, and the pair counts only if operator kind, shape and quantization are
those that the row must have (a pool's scale is TFLite's to choose: it moves requantization across
pools that feed a concatenation). Whatever stays unpaired on either side is named in an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfqdyn.affine import QuantParams
from tfqdyn.fakequant import INHERITING, scope_of
from tfqdyn.graph import LayerNode
from tfqdyn.tflitefile import Operator, Tensor, TfliteModel

OPERATORS_OF = {
    "add": ("ADD",),
    "affine": ("DEPTHWISE_CONV_2D", "CONV_2D"),
    "average_pool": ("AVERAGE_POOL_2D",),
    "cap": ("MINIMUM",),
    "concatenate": ("CONCATENATION",),
    "conv": ("CONV_2D",),
    "dense": ("FULLY_CONNECTED",),
    "depthwise": ("DEPTHWISE_CONV_2D", "CONV_2D"),
    "global_max": ("REDUCE_MAX",),
    "leaky_relu": ("LEAKY_RELU",),
    "max_pool": ("MAX_POOL_2D",),
    "maximum": ("MAXIMUM",),
    "mean": ("MEAN", "AVERAGE_POOL_2D"),
    "minimum": ("MINIMUM",),
    "multiply": ("MUL",),
    "prelu": ("PRELU",),
    "relu": ("RELU", "RELU6", "RELU_0_TO_1"),
    "sigmoid": ("LOGISTIC",),
    "softmax": ("SOFTMAX",),
    "subtract": ("SUB",),
    "tanh": ("TANH",),
    "transposed_conv": ("TRANSPOSE_CONV",),
    "upsample": ("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"),
}
CARRIERS = frozenset(
    (
        "CAST",
        "DEQUANTIZE",
        "PACK",
        "PAD",
        "PADV2",
        "QUANTIZE",
        "RESHAPE",
        "SHAPE",
        "SLICE",
        "STRIDED_SLICE",
        "TRANSPOSE",
    )
)
"""Operators that move values or change their encoding; they need no row."""


class PairingError(ValueError):
    """Rows and tensors do not match one to one; the message names every leftover."""


@dataclass(frozen=True)
class SimulatedGrid:
    """Where a simulated row's output is rounded: ends of its grid, and bits.

    `weight_bits` is None for rows without a kernel.
    """

    low: float
    high: float
    weight_bits: int | None
    activation_bits: int

    @property
    def step(self) -> float:
        """Distance of neighbouring values."""
        return (self.high - self.low) / (2**self.activation_bits - 1)


@dataclass(frozen=True, eq=False)
class LayerPair:
    """A row and the tensor that holds its output.

    Attributes:
        row: the row of the layer table.
        tensor: index of the tensor in the file.
        operator: what computes it there.
        params: the tensor's quantization; None where the layer runs in fp32.
        kernel: index of the kernel's tensor; None for ops without one.
        simulated: set where there is no tensor, but a simulation's values.
    """

    row: LayerNode
    tensor: int
    operator: str
    params: QuantParams | None
    kernel: int | None
    simulated: SimulatedGrid | None = None


def pair_layers(
    rows: Sequence[LayerNode],
    model: TfliteModel,
    params: Mapping[str, QuantParams],
    float_layers: frozenset[str] = frozenset(),
) -> tuple[LayerPair, ...]:
    """Pairs every row with the tensor of its output.

    Args:
        rows: as `graph.layers_of` lists them.
        model: the file that came out of the fake-quantized graph of these rows.
        params: uint8 parameters of every row's output, by name.
        float_layers: rows that run in fp32.

    Raises:
        PairingError: a row without a tensor, an operator without a row, or a pair whose kind,
            shape or quantization differs.
    """
    made_by = {op.outputs[0]: op for op in model.operators if op.outputs}
    problems: list[str] = []
    pairs: list[LayerPair] = []
    paired: set[int] = set()
    for index, row in enumerate(rows):
        found = [
            op for op in model.operators
            if op.kind not in CARRIERS and _in_scope(model.tensors[op.outputs[0]], index)
        ]  # fmt: skip
        if not found and index == len(rows) - 1:
            found = [_maker_of_output(model, made_by)]
        clips = [op for op in found[1:] if row.name in float_layers and op.kind == "MINIMUM"]
        if len(found) != 1 + len(clips):
            kinds = ", ".join(op.kind for op in found) or "none"
            problems.append(
                f"layer {row.name!r} ({row.kind}): one operator expected, found {kinds}"
            )
            continue
        expected = None if row.name in float_layers else params[row.name]
        pairs.append(_pair(row, found, model, problems, expected))
        paired |= {op.outputs[0] for op in found}
    problems += [
        f"operator {op.index} ({op.kind}, {model.tensors[op.outputs[0]].name!r}) has no layer"
        for op in model.operators
        if op.kind not in CARRIERS and op.outputs[0] not in paired
    ]
    if problems:
        raise PairingError("layers and tensors do not match:\n" + "\n".join(problems))
    return tuple(pairs)


def _in_scope(tensor: Tensor, index: int) -> bool:
    """Whether the last op that was fused into the tensor's operator lies in the row's scope."""
    return tensor.name.split(";")[0].startswith(scope_of(index))


def _maker_of_output(model: TfliteModel, made_by: Mapping[int, Operator]) -> Operator:
    """The operator behind the file's output (named `fakequant.OUTPUT`), across carriers."""
    operator = made_by[model.outputs[0]]
    while operator.kind in CARRIERS and operator.inputs[0] in made_by:
        operator = made_by[operator.inputs[0]]
    return operator


def _pair(
    row: LayerNode,
    operators: Sequence[Operator],
    model: TfliteModel,
    problems: list[str],
    expected: QuantParams | None,
) -> LayerPair:
    """The pair; where fp32 clips after the op, the op comes first and the clip holds the output."""
    operator, tensor = operators[0], model.tensors[operators[-1].outputs[0]]
    kind = "conv" if row.kind in ("pointwise", "group") else row.kind
    if operator.kind not in OPERATORS_OF[kind]:
        problems.append(f"layer {row.name!r} ({row.kind}) became {operator.kind}")
    if np.prod(tensor.shape[1:]) != np.prod(row.output_shape):
        problems.append(f"layer {row.name!r}: shape {row.output_shape} became {tensor.shape[1:]}")
    settled_by_tflite = kind in INHERITING and expected is not None and tensor.params is not None
    if not settled_by_tflite and not _agree(tensor.params, expected):
        problems.append(
            f"layer {row.name!r}: quantization {expected} became {tensor.params} ({tensor.dtype})"
        )
    owns = row.has_kernel or kind == "affine"
    inputs = operator.inputs
    return LayerPair(row, tensor.index, operator.kind, tensor.params, inputs[1] if owns else None)


def _agree(found: QuantParams | None, expected: QuantParams | None) -> bool:
    if found is None or expected is None:
        return found is expected
    same_scale = np.allclose(found.scale, expected.scale, rtol=1e-5, atol=0)
    return same_scale and np.array_equal(found.zero_point, expected.zero_point)
