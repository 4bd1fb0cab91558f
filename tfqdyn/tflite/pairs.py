"""A layer and its tensor in a .tflite file."""

from dataclasses import dataclass

from tfqdyn.network.graph import LayerNode
from tfqdyn.numerics.grid import QuantParams


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
