"""A layer and its tensor in a .tflite file, and which operators can compute which layer."""

from dataclasses import dataclass

from tfqdyn.network.graph import LayerNode
from tfqdyn.numerics.grid import QuantParams

OPERATORS_OF = {
    "add": ("ADD",),
    "average_pool": ("AVERAGE_POOL_2D",),
    "cap": ("MINIMUM",),
    "concatenate": ("CONCATENATION",),
    "conv": ("CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"),
    "dense": ("FULLY_CONNECTED", "CONV_2D"),
    "divide": ("DIV",),
    "depthwise": ("DEPTHWISE_CONV_2D", "CONV_2D"),
    "elu": ("ELU",),
    "exponential": ("EXP",),
    "gelu": ("GELU",),
    "global_max": ("REDUCE_MAX", "MAX_POOL_2D"),
    "leaky_relu": ("LEAKY_RELU",),
    "max_pool": ("MAX_POOL_2D",),
    "maximum": ("MAXIMUM",),
    "mean": ("MEAN", "AVERAGE_POOL_2D"),
    "minimum": ("MINIMUM",),
    "multiply": ("MUL",),
    "prelu": ("PRELU",),
    "sigmoid": ("LOGISTIC",),
    "softmax": ("SOFTMAX",),
    "subtract": ("SUB",),
    "tanh": ("TANH",),
    "transposed_conv": ("TRANSPOSE_CONV",),
    "upsample": ("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"),
}
ORDERED = ("concatenate", "divide", "subtract")
"""Ops whose inputs' order counts."""


@dataclass(frozen=True, eq=False)
class LayerPair:
    """A row and the tensor that holds its output.

    Attributes:
        row: the row of the layer table.
        tensor: index of the tensor in the file.
        operator: what computes it there.
        params: the tensor's quantization; None where the layer runs in fp32.
        kernel: index of the kernel's tensor; None for ops without one.
        distance: of the kernel in the file from the layer's, see `kernels.distance`.
        most_steps: largest difference of a weight in steps of its grid; rounding makes up to 0.5.
            0 for kernels in floats.
    """

    row: LayerNode
    tensor: int
    operator: str
    params: QuantParams | None
    kernel: int | None
    distance: float = 0.0
    most_steps: float = 0.0
