"""A network as it is deployed: what is asked of a .tflite file, a simulation, or another engine.

Whatever `deployment.deploy` gives is measured in one way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from tfqdyn.network.graph import LayerNode
from tfqdyn.numerics.grid import QuantParams, RealGrid
from tfqdyn.results import KernelGrid

FLOATS = "float32"
"""dtype of what a simulation rounds, and of rows that are not quantized."""
Run = Callable[[Any], list[NDArray]]
"""A preprocessed `datasets.Batch` of a chunk's size -> values of every row (codes, or real
numbers), then those of the network's outputs."""


@dataclass(frozen=True)
class Format:
    """How a row is held.

    Attributes:
        dtype: of its output.
        kernel: how its kernel is stored; None without one.
        weight_bits, activation_bits: what a simulation rounds to; None where dtypes tell.
        operator: index of what computes it in a .tflite file; None where there is none.
    """

    dtype: str
    kernel: KernelGrid | None = None
    weight_bits: int | None = None
    activation_bits: int | None = None
    operator: int | None = None


class Deployed(Protocol):
    """A network whose rows can be read while it runs."""

    @property
    def rows(self) -> tuple[LayerNode, ...]:
        """The rows whose values can be read, in graph order."""
        ...

    @property
    def unpaired(self) -> Mapping[str, str]:
        """Rows whose values cannot be read, with the reason."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks in words."""
        ...

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        ...

    @property
    def ties(self) -> int:
        """Weights whose code differs from ours by one unit at an exact tie."""
        ...

    @property
    def file(self) -> bytes | None:
        """The file that is deployed; None where there is none."""
        ...

    @property
    def output_grids(self) -> tuple[QuantParams | None, ...]:
        """Quantization of the network's outputs; None for real numbers."""
        ...

    def grid(self, row: str) -> QuantParams | RealGrid | None:
        """What a row's values are: codes, real values on a grid, or (None) not rounded."""
        ...

    def format(self, row: str) -> Format:
        """How a row's output and kernel are held."""
        ...

    def runner(self, chunk: int) -> Run:
        """What runs it on chunks of one size; several may run side by side."""
        ...
