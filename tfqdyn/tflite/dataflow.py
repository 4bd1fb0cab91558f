"""How values flow through a .tflite file, across the operators that only carry them.

A value's `source` is the tensor that computed it: quantizing, dequantizing, reshaping, padding and
the like change neither what a value means nor which layer made it.
"""

import numpy as np
from numpy.typing import NDArray

from tfqdyn.numerics.grid import dequantize
from tfqdyn.tflite.file import INDICES, Operator, Tensor, TfliteModel

CARRIERS = frozenset(
    (
        "BATCH_TO_SPACE_ND",
        "CAST",
        "DEQUANTIZE",
        "EXPAND_DIMS",
        "PAD",
        "PADV2",
        "QUANTIZE",
        "RESHAPE",
        "SLICE",
        "SPACE_TO_BATCH_ND",
        "SQUEEZE",
        "STRIDED_SLICE",
        "TRANSPOSE",
    )
)
"""Operators that move values or change their encoding; they need no layer."""
MOVES = {
    "PAD": "pad",
    "PADV2": "pad",
    "SLICE": "crop",
    "STRIDED_SLICE": "crop",
    "TRANSPOSE": "permute",
}
"""Carriers that move values, and what of the moving ops of `network.ops` they do."""


class Dataflow:
    """Who makes and who reads which value of a file.

    Attributes:
        model: the file.
        operators: those that compute activations, in execution order.
    """

    def __init__(self, model: TfliteModel) -> None:
        self.model = model
        self._maker = {tensor: op for op in model.operators for tensor in op.outputs}
        self._source: dict[int, int] = {}
        self._carriers: dict[int, list[Operator]] = {}
        for op in model.operators:
            if op.kind in CARRIERS:
                first = op.inputs[0]
                self._carriers.setdefault(first, []).append(op)
                self._source.update(dict.fromkeys(op.outputs, self._source.get(first, first)))
        self.operators = tuple(
            op for op in model.operators
            if op.kind not in CARRIERS and self.inputs(op)
            and any(self._is_activation(model.tensors[t]) for t in op.outputs)
        )  # fmt: skip
        self._readers: dict[int, list[Operator]] = {}
        for op in self.operators:
            for source in dict.fromkeys(self.inputs(op)):
                self._readers.setdefault(source, []).append(op)

    def source(self, tensor: int) -> int:
        """The tensor that first held a value, going back across carriers."""
        return self._source.get(tensor, tensor)

    def maker(self, tensor: int) -> Operator | None:
        """What computes a value; None for the file's input."""
        return self._maker.get(self.source(tensor))

    def readers(self, tensor: int) -> list[Operator]:
        """The operators that compute something from a value, across carriers."""
        return self._readers.get(self.source(tensor), [])

    def inputs(self, operator: Operator) -> tuple[int, ...]:
        """Sources of the activations that an operator reads: neither constants nor shapes."""
        sources = (self.source(tensor) for tensor in operator.inputs if tensor >= 0)
        return tuple(s for s in sources if self._is_activation(self.model.tensors[s]))

    def moves(self, operator: Operator) -> set[tuple[str, tuple[int, ...]]]:
        """How values are moved on their way to an operator: the op and its numbers, all axes."""
        found = set()
        for tensor in operator.inputs:
            while tensor in self._maker and self._maker[tensor].kind in CARRIERS:
                carrier = self._maker[tensor]
                numbers = self.constant(carrier, 1)
                if carrier.kind in MOVES and numbers is not None and numbers.data is not None:
                    steps = tuple(int(number) for number in numbers.data.reshape(-1))
                    found.add((MOVES[carrier.kind], steps))
                tensor = carrier.inputs[0]
        return found

    def _is_activation(self, tensor: Tensor) -> bool:
        if tensor.data is not None or (tensor.dtype in INDICES and tensor.params is None):
            return False
        return tensor.index in self._maker or tensor.index in self.model.inputs

    def constant(self, operator: Operator, position: int) -> Tensor | None:
        """The stored tensor behind an operator's input; None if it is left out or computed."""
        if position >= len(operator.inputs) or operator.inputs[position] < 0:
            return None
        tensor = self.model.tensors[self.source(operator.inputs[position])]
        return None if tensor.data is None else tensor

    def sized(self, tensor: int, values: int) -> int:
        """The first tensor of `values` numbers that holds a value, going on across carriers."""
        found = tensor
        while np.prod(self.model.tensors[found].shape) != values:
            after = self._carriers.get(found, [])
            if len(after) != 1:
                return tensor
            found = after[0].outputs[0]
        return found


def real_values(tensor: Tensor) -> NDArray[np.float64]:
    """A stored tensor's numbers, dequantized.

    Raises:
        ValueError: nothing is stored.
    """
    if tensor.data is None:
        raise ValueError(f"tensor {tensor.name!r} stores no numbers")
    if tensor.params is None:
        return tensor.data.astype(np.float64)
    return dequantize(tensor.data, tensor.params)
