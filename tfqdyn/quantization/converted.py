"""A .tflite file as a deployed network: rows, their tensors, and the interpreter that runs it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tfqdyn.network.graph import LayerNode
from tfqdyn.numerics.grid import QuantParams
from tfqdyn.quantization.deployed import Format, Run
from tfqdyn.results import KernelGrid
from tfqdyn.tflite.file import Tensor, TfliteModel
from tfqdyn.tflite.interpreter import rehearse
from tfqdyn.tflite.pairs import LayerPair
from tfqdyn.tflite.running import TfliteTensors


@dataclass(frozen=True, eq=False)
class Converted:
    """A converted model.

    Attributes:
        content: the .tflite file.
        model: the same, parsed.
        pairs: every row with its tensor.
        inputs: the file's input tensors, by the names of the network's inputs.
        outputs: the file's output tensors, in the order of the network's outputs.
        ties: weights whose code differs from ours by one unit at an exact tie.
        unpaired: rows without a tensor of their own, with the reason.
        notes: remarks in words.
    """

    content: bytes
    model: TfliteModel
    pairs: tuple[LayerPair, ...]
    inputs: Mapping[str, int]
    outputs: tuple[int, ...]
    ties: int = 0
    unpaired: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @cached_property
    def _by_row(self) -> Mapping[str, LayerPair]:
        return {pair.row.name: pair for pair in self.pairs}

    @cached_property
    def _writers(self) -> Mapping[int, int]:
        """Indices of operators by the tensors that they write."""
        return {tensor: op.index for op in self.model.operators for tensor in op.outputs}

    @property
    def rows(self) -> tuple[LayerNode, ...]:
        """The rows that have a tensor."""
        return tuple(pair.row for pair in self.pairs)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.content)

    @property
    def file(self) -> bytes:
        """The file."""
        return self.content

    def grid(self, row: str) -> QuantParams | None:
        """Quantization of a row's output; None where it runs in fp32."""
        return self._by_row[row].params

    def format(self, row: str) -> Format:
        """dtype of a row's output, and how its kernel is stored."""
        pair, tensors = self._by_row[row], self.model.tensors
        kernel = None if pair.kernel is None else kernel_grid(tensors[pair.kernel])
        operator = self._writers.get(pair.tensor)
        return Format(tensors[pair.tensor].dtype, kernel, operator=operator)

    def rehearse(self, chunk: int) -> None:
        """Runs a file once in a process of its own, where it may crash.

        Raises:
            TfliteFileError: it does.
        """
        shapes = {t: self.model.batch_shape(t, chunk) for t in self.inputs.values()}
        rehearse(self.content, shapes)

    def runner(self, chunk: int) -> Run:
        """An interpreter with one thread."""
        return TfliteTensors(self, chunk)

    @property
    def input_params(self) -> QuantParams | None:
        """Quantization of the first input; None where it is in floats."""
        return self.model.tensors[self.model.inputs[0]].params

    @property
    def output_grids(self) -> tuple[QuantParams | None, ...]:
        """Quantization of the outputs; None for fp32."""
        return tuple(self.model.tensors[tensor].params for tensor in self.outputs)


def kernel_grid(kernel: Tensor) -> KernelGrid:
    """How a stored kernel is held."""
    if kernel.params is None:
        return KernelGrid(kernel.dtype, (), ())
    scale, zero_point = (np.atleast_1d(a) for a in (kernel.params.scale, kernel.params.zero_point))
    return KernelGrid(
        kernel.dtype, tuple(float(x) for x in scale), tuple(int(z) for z in zero_point)
    )
