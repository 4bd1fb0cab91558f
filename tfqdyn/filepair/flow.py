"""A .tflite file as a graph of steps on values, whatever its operators are.

A value is named by the tensor that first held it: encoding it otherwise (QUANTIZE, DEQUANTIZE,
CAST) or giving it another shape changes neither what it means nor what made it. All else is a step.
"""

from collections.abc import Iterator
from functools import cached_property

from tfqdyn.tflite.file import INDICES, Operator, Tensor, TfliteModel

ENCODERS = frozenset(
    ("CAST", "DENSIFY", "DEQUANTIZE", "EXPAND_DIMS", "FAKE_QUANT", "QUANTIZE", "RESHAPE", "SQUEEZE")
)
"""Operators that leave a value what it is."""
MOVERS = frozenset(
    (
        "BATCH_TO_SPACE_ND",
        "PAD",
        "PADV2",
        "SLICE",
        "SPACE_TO_BATCH_ND",
        "STRIDED_SLICE",
        "TRANSPOSE",
    )
)
"""Steps that only move numbers: they are paired, and have no row."""
RECTIFIERS = ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1")
"""Operators that other operators can do at their end, and what files call them there."""
BETWEEN = {
    "RELU": (0.0, float("inf")),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU_0_TO_1": (0.0, 1.0),
}
"""What `RECTIFIERS` cut values to."""


class Flow:
    """Who makes and who reads which value of a file.

    Attributes:
        model: the file.
        steps: the operators that compute something from what is not constant, in execution order.
    """

    def __init__(self, model: TfliteModel) -> None:
        self.model = model
        self._source: dict[int, int] = {}
        self._fixed = {t.index for t in model.tensors if t.data is not None}
        self._maker: dict[int, Operator] = {}
        found: list[Operator] = []
        for op in model.operators:
            if op.kind in ENCODERS:
                first = self._source.get(op.inputs[0], op.inputs[0])
                self._source.update(dict.fromkeys(op.outputs, first))
                if op.inputs[0] in self._fixed:
                    self._fixed |= set(op.outputs)
                continue
            self._maker |= dict.fromkeys(op.outputs, op)
            if op.inputs and all(t < 0 or t in self._fixed for t in op.inputs):
                self._fixed |= set(op.outputs)  # computed from constants alone
            elif op.outputs:
                found.append(op)
        self.steps = tuple(found)

    def source(self, tensor: int) -> int:
        """The tensor that first held a value."""
        return self._source.get(tensor, tensor)

    def maker(self, value: int) -> Operator | None:
        """The step that makes a value; None for the file's inputs."""
        return self._maker.get(value)

    def is_numeric(self, value: int) -> bool:
        """Whether a value is of real numbers, as floats or as codes, and not of indices."""
        tensor = self.model.tensors[value]
        return tensor.params is not None or tensor.dtype not in (*INDICES, "resource", "string")

    def arguments(self, step: Operator) -> tuple[int, ...]:
        """The values that a step computes from: real numbers, or indices if there are no others."""
        given = [self.source(t) for t in step.inputs if t >= 0 and t not in self._fixed]
        given = [v for v in given if not self.model.tensors[v].variable]
        numeric = [v for v in given if self.is_numeric(v)]
        return tuple(numeric or given)

    def constants(self, step: Operator) -> dict[int, Tensor]:
        """The stored tensors that a step reads, by their position among its inputs."""
        found = {}
        for position, tensor in enumerate(step.inputs):
            if tensor >= 0:
                stored = self.model.tensors[self.source(tensor)]
                if stored.data is not None:
                    found[position] = stored
        return found

    @cached_property
    def _readers(self) -> dict[int, list[Operator]]:
        found: dict[int, list[Operator]] = {}
        for step in self.steps:
            for value in dict.fromkeys(self.arguments(step)):
                found.setdefault(value, []).append(step)
        return found

    def readers(self, value: int) -> list[Operator]:
        """The steps that compute something from a value."""
        return self._readers.get(value, [])

    @cached_property
    def outputs(self) -> tuple[int, ...]:
        """The values that the file returns."""
        return tuple(self.source(tensor) for tensor in self.model.outputs)

    def rectified(self, value: int) -> Operator | None:
        """The rectifier that alone reads a value which the file does not return."""
        readers = self.readers(value)
        if len(readers) != 1 or readers[0].kind not in RECTIFIERS or value in self.outputs:
            return None
        return readers[0]

    def above(self, step: Operator) -> Iterator[Operator]:
        """The steps that a step's arguments come from, nearest first."""
        seen, waiting = {step.index}, [step]
        while waiting:
            for value in self.arguments(waiting.pop(0)):
                made = self.maker(value)
                if made is not None and made.index not in seen:
                    seen.add(made.index)
                    waiting.append(made)
                    yield made
