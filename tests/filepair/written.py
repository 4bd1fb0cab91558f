"""Small .tflite files written operator by operator, so that two may differ in one thing alone."""

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated
from numpy.typing import NDArray

schema: Any = schema_py_generated
Grid = tuple[Any, Any, str]
"""Scale and zero point, of a tensor or (arrays) of its first axis, and dtype."""
_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "ADD": ("AddOptions", {}),
    "CONV_2D": ("Conv2DOptions", {"strideW": 1, "strideH": 1}),
    "FULLY_CONNECTED": ("FullyConnectedOptions", {}),
    "MUL": ("MulOptions", {}),
    "SOFTMAX": ("SoftmaxOptions", {"beta": 1.0}),
}
INPUT: Grid = (np.float32(1 / 32), 0, "int8")
INNER: Grid = (np.float32(1 / 16), -128, "int8")
"""Grids of an int8 network's input, and of values from 0 up."""


class Written:
    """One file with one subgraph; tensors are known by their index."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def tensor(
        self, shape: Sequence[int], grid: Grid | None = None, dtype: str = "float32",
        data: NDArray | None = None, name: str = "", any_batch: bool = False,
    ) -> int:  # fmt: skip
        made = schema.TensorT()
        made.shape = np.array(shape, np.int32)
        if any_batch:
            made.shapeSignature = np.array([-1, *shape[1:]], np.int32)
        made.name = name or f"tensor_{len(self.graph.tensors)}"
        made.type = getattr(schema.TensorType, (grid[2] if grid else dtype).upper())
        made.quantization = schema.QuantizationParametersT()
        if grid is not None:
            made.quantization.scale = np.atleast_1d(np.asarray(grid[0], np.float32))
            made.quantization.zeroPoint = np.atleast_1d(np.asarray(grid[1], np.int64))
        if data is not None:
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(schema.BufferT())
            self.model.buffers[-1].data = np.frombuffer(data.tobytes(), np.uint8)
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def input(self, shape: Sequence[int], grid: Grid | None = None, dtype: str = "float32") -> int:
        return self.tensor(shape, grid, dtype, name="x", any_batch=True)

    def constant(self, values: NDArray, grid: Grid | None = None, name: str = "") -> int:
        return self.tensor(values.shape, grid, values.dtype.name, values, name)

    def op(
        self, kind: str, inputs: Sequence[int], shape: Sequence[int], grid: Grid | None = None,
        activation: str = "NONE", name: str = "",
    ) -> int:  # fmt: skip
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        if kind in ("FULLY_CONNECTED", "SOFTMAX", "MUL", "ADD", "QUANTIZE", "DEQUANTIZE"):
            code.version = {"FULLY_CONNECTED": 4}.get(kind, 2)
        self.model.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        if kind in _OPTIONS:
            options, fields = _OPTIONS[kind]
            made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            made.builtinOptions = getattr(schema, options + "T")()
            for field, value in fields.items():
                setattr(made.builtinOptions, field, value)
            if hasattr(made.builtinOptions, "fusedActivationFunction"):
                number = getattr(schema.ActivationFunctionType, activation)
                made.builtinOptions.fusedActivationFunction = number
        made.inputs = np.array(inputs, np.int32)
        made.outputs = np.array([self.tensor(shape, grid, name=name)], np.int32)
        self.graph.operators.append(made)
        return int(made.outputs[0])

    def content(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        self.graph.inputs = np.array(inputs, np.int32)
        self.graph.outputs = np.array(outputs, np.int32)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def weights(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 0.5, shape).astype(np.float32)


def rounded(kernel: NDArray) -> tuple[NDArray[np.int8], Grid]:
    """A kernel's codes, symmetric over its first axis."""
    scale = np.abs(kernel).reshape(len(kernel), -1).max(axis=1) / 127
    shape = [-1] + [1] * (kernel.ndim - 1)
    codes = np.round(kernel / scale.reshape(shape)).astype(np.int8)
    return codes, (scale, np.zeros(len(kernel), int), "int8")


Layer = tuple[int, str]
"""Of a dense layer: the seed of its kernel, and its activation."""
LAYERS: tuple[Layer, ...] = ((1, "RELU"), (2, "RELU"), (3, "NONE"))
WIDTH = 6


def floats(layers: Sequence[Layer] = LAYERS, softmax: bool = True, fused: bool = True) -> bytes:
    """Dense layers of one width in floats."""
    file = Written()
    value = first = file.input((1, WIDTH))
    for number, (seed, activation) in enumerate(layers):
        kernel = file.constant(weights(seed, WIDTH, WIDTH), name=f"net/dense_{number}/MatMul")
        value = file.op("FULLY_CONNECTED", [value, kernel, -1], (1, WIDTH), None,
                        activation if fused else "NONE")  # fmt: skip
        if activation != "NONE" and not fused:
            value = file.op(activation, [value], (1, WIDTH))
    if softmax:
        value = file.op("SOFTMAX", [value], (1, WIDTH))
    return file.content([first], [value])


def codes(layers: Sequence[Layer] = LAYERS, softmax: bool = True, fused: bool = True) -> bytes:
    """The same layers in int8, between a QUANTIZE and a DEQUANTIZE; nothing is called as there.

    Without `fused` the grids, which begin at 0, are all that is left of the rectifiers.
    """
    file = Written()
    first = file.input((1, WIDTH))
    value = file.op("QUANTIZE", [first], (1, WIDTH), INPUT)
    for seed, activation in layers:
        stored, grid = rounded(weights(seed, WIDTH, WIDTH))
        kernel = file.constant(stored, grid)
        signed = activation == "NONE"
        value = file.op("FULLY_CONNECTED", [value, kernel, -1], (1, WIDTH),
                        (np.float32(1 / 8), 0, "int8") if signed else INNER,
                        activation if fused else "NONE")  # fmt: skip
    if softmax:
        value = file.op("SOFTMAX", [value], (1, WIDTH), (np.float32(1 / 256), -128, "int8"))
    value = file.op("DEQUANTIZE", [value], (1, WIDTH))
    return file.content([first], [value])
