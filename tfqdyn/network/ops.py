"""What each op of a `graph.Node` is, wherever that matters; a new op is one entry of `OPS`.

How Keras computes an op is in `rebuild`, how TensorFlow does in `quantization.fakequant`; Keras'
activations have the rule of all activations there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from tfqdyn.numerics.layouts import LAYOUTS, Layout
from tfqdyn.schemes import INT8, OWN_RANGES, WITHOUT_FILE

OURS = (*OWN_RANGES, *WITHOUT_FILE)
"""Schemes whose rounding is tfqdyn's, and not the converter's."""


@dataclass(frozen=True)
class Op:
    """One op.

    Attributes:
        operators: the TFLite operators that can compute it; () where a file computes it by several,
            or where converters leave nothing of it.
        rounded: of `OURS` those that take it, `int8` with ranges of ours; the converter's schemes
            take any op, and what TensorFlow's converter refuses it says itself.
        kernel: how its kernel lies; None for ops without one.
        numbered: whether the kernel is a layer's, which tables number (an affine op's is not).
        remedied: whether remedies change its kernel.
        moves: what it does to values that it only moves ("pads with zeros"); "" for ops that
            compute. Its input's quantization holds for its output too.
        fuses_relu: whether TFLite fuses a following ReLU, ReLU6 or clip into it.
        inherits: whether TFLite's kernel needs one quantization for input and output.
        shares: whether TFLite's int8 kernel needs one quantization for all inputs and the output.
        picks: whether each output value is one of the values that it reads.
        pointwise: whether every value is made of those at its own place, whatever the shape.
        fixed_range: the range of its output where TFLite fixes the scale.
        commutes: whether a positive factor a channel may stand before or behind it.
        keeps_mean: whether its output channels have the mean of its input channels.
        ordered: whether the order of its inputs counts.
        scores: whether a network that ends in it gives scores of the logits that it reads.
        parameters: of an op that is Keras' activation of that name its parameters; else None.
    """

    operators: tuple[str, ...] = ()
    rounded: tuple[str, ...] = OURS
    kernel: Layout | None = None
    numbered: bool = False
    remedied: bool = False
    moves: str = ""
    fuses_relu: bool = False
    inherits: bool = False
    shares: bool = False
    picks: bool = False
    pointwise: bool = False
    fixed_range: tuple[float, float] | None = None
    commutes: bool = False
    keeps_mean: bool = False
    ordered: bool = False
    scores: bool = False
    parameters: tuple[str, ...] | None = None

    @property
    def has_kernel(self) -> bool:
        """Whether it multiplies with a kernel and adds a bias."""
        return self.kernel is not None


_LAYER = Op(numbered=True, remedied=True, fuses_relu=True)
_UNIT = (0.0, 255 / 256)


def _activation(*parameters: str, operators: tuple[str, ...] = ()) -> Op:
    """Keras' activation of the op's name."""
    return Op(operators, rounded=(), pointwise=True, parameters=parameters)


OPS: Mapping[str, Op] = MappingProxyType(
    {
        "input": Op(),
        "batch_norm": Op(pointwise=True),
        # layers with a kernel
        "conv": replace(
            _LAYER,
            operators=("CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"),
            kernel=LAYOUTS["conv"],
        ),
        "depthwise": replace(
            _LAYER,
            operators=("DEPTHWISE_CONV_2D", "CONV_2D"),
            kernel=LAYOUTS["depthwise"],
        ),
        "dense": replace(_LAYER, operators=("FULLY_CONNECTED", "CONV_2D"), kernel=LAYOUTS["dense"]),
        "transposed_conv": Op(
            ("TRANSPOSE_CONV",), kernel=LAYOUTS["transposed_conv"], numbered=True
        ),
        "affine": Op(kernel=LAYOUTS["affine"], pointwise=True, fuses_relu=True),
        # values that only move
        "pad": Op(moves="pads with zeros", commutes=True, keeps_mean=True),
        "crop": Op(moves="cuts the border off", commutes=True, keeps_mean=True),
        "pad_channels": Op(moves="adds channels of zeros"),
        "slice": Op(moves="takes a part"),
        "reshape": Op(moves="only changes the shape"),
        "permute": Op(moves="only permutes the axes"),
        # of one input
        "average_pool": Op(("AVERAGE_POOL_2D",), inherits=True, commutes=True, keeps_mean=True),
        "cap": Op(("MINIMUM",), inherits=True, pointwise=True, commutes=True),
        "global_max": Op(("REDUCE_MAX", "MAX_POOL_2D"), inherits=True, picks=True, commutes=True),
        "gelu": Op(("GELU",), pointwise=True, parameters=("approximate",)),
        "leaky_relu": Op(("LEAKY_RELU",), pointwise=True, commutes=True),
        "log_softmax": Op(
            ("LOG_SOFTMAX",), fixed_range=(-255 / 16, 0.0), scores=True, parameters=()
        ),
        "max_pool": Op(("MAX_POOL_2D",), inherits=True, picks=True, commutes=True),
        "mean": Op(("MEAN", "AVERAGE_POOL_2D"), commutes=True, keeps_mean=True),
        "prelu": Op(("PRELU",)),
        "relu": Op(pointwise=True, commutes=True),
        "resize": Op(("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"), inherits=True, commutes=True),
        "sigmoid": Op(("LOGISTIC",), pointwise=True, fixed_range=_UNIT, scores=True),
        "softmax": Op(("SOFTMAX",), fixed_range=_UNIT, scores=True),
        "tanh": Op(("TANH",), pointwise=True, fixed_range=(-1.0, 127 / 128)),
        "upsample": Op(
            ("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"), inherits=True, keeps_mean=True
        ),
        # of several inputs
        "add": Op(("ADD",), pointwise=True, fuses_relu=True),
        "concatenate": Op(("CONCATENATION",), shares=True, picks=True, ordered=True),
        "divide": Op(("DIV",), rounded=(), pointwise=True, ordered=True),
        "matmul": Op(("BATCH_MATMUL",), rounded=(INT8, *WITHOUT_FILE), ordered=True),
        "maximum": Op(("MAXIMUM",), shares=True, picks=True, pointwise=True),
        "minimum": Op(("MINIMUM",), shares=True, picks=True, pointwise=True),
        "multiply": Op(("MUL",), pointwise=True, fuses_relu=True),
        "subtract": Op(("SUB",), pointwise=True, ordered=True),
        # left to the converter
        "celu": _activation("alpha"),
        "elu": _activation("alpha", operators=("ELU",)),
        "exponential": _activation(operators=("EXP",)),
        "hard_shrink": _activation("threshold"),
        "hard_tanh": _activation(),
        "layer_norm": Op(rounded=WITHOUT_FILE),
        "log_sigmoid": _activation(),
        "mish": _activation(),
        "selu": _activation(),
        "soft_shrink": _activation("threshold"),
        "softplus": _activation(),
        "softsign": _activation(),
        "squareplus": _activation("b"),
        "tanh_shrink": _activation(),
    }
)
"""Every op by its name."""
ACTIVATIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: op.parameters for name, op in OPS.items() if op.parameters is not None}
)
"""Keras' activations that are ops of that name, with the names of their parameters."""


def takes(scheme: str, op: str) -> bool:
    """Whether a scheme, or one of `WITHOUT_FILE`, takes an op; of `int8`, with ranges of ours."""
    return scheme not in OURS or scheme in OPS[op].rounded
