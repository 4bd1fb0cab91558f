"""Small .tflite files, built from the schema alone, and engines that run in the tests' process."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from tfqdyn.engines.feeding import Feed
from tfqdyn.tflite.file import TfliteModel, schema

CHANNELS, SIZE = 8, 4
IN_SCALE, WEIGHT_SCALE = 0.1, 0.01
STEP = 100
"""Accumulated units in one output step: 1 / WEIGHT_SCALE, as inputs and outputs have one scale."""
_KINDS = {
    "CONV_2D": (schema.BuiltinOperator.CONV_2D, schema.BuiltinOptions.Conv2DOptions),
    "DEPTHWISE_CONV_2D": (
        schema.BuiltinOperator.DEPTHWISE_CONV_2D, schema.BuiltinOptions.DepthwiseConv2DOptions,
    ),
    "RESHAPE": (schema.BuiltinOperator.RESHAPE, schema.BuiltinOptions.NONE),
    "ADD": (schema.BuiltinOperator.ADD, schema.BuiltinOptions.AddOptions),
    "SOFTMAX": (schema.BuiltinOperator.SOFTMAX, schema.BuiltinOptions.SoftmaxOptions),
}  # fmt: skip


class Builder:
    """A file with one subgraph, tensor by tensor and operator by operator."""

    def __init__(self) -> None:
        self.model: Any = schema.ModelT()
        self.model.version, self.model.buffers = 3, [schema.BufferT()]
        self.model.operatorCodes, self.model.subgraphs = [], [schema.SubGraphT()]
        self.graph: Any = self.model.subgraphs[0]
        self.graph.tensors, self.graph.operators = [], []

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str,
        scale: float | None = None,
        zero: int = 0,
        data: NDArray | None = None,
    ) -> int:
        """Adds a tensor; its index."""
        tensor: Any = schema.TensorT()
        tensor.name, tensor.shape = name, np.array(shape, np.int32)
        tensor.type, tensor.buffer = getattr(schema.TensorType, dtype.upper()), 0
        if scale is not None:
            params: Any = schema.QuantizationParametersT()
            params.scale = np.array([scale], np.float32)
            params.zeroPoint = np.array([zero], np.int64)
            tensor.quantization = params
        if data is not None:
            buffer: Any = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(
        self, kind: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any
    ) -> None:
        """Adds an operator with its options."""
        code, number = _KINDS[kind]
        opcode: Any = schema.OperatorCodeT()
        operator: Any = schema.OperatorT()
        opcode.builtinCode, opcode.version = code, options.pop("version", 1)
        opcode.deprecatedBuiltinCode = min(code, 127)
        operator.opcodeIndex = len(self.model.operatorCodes)
        self.model.operatorCodes.append(opcode)
        operator.inputs, operator.outputs = (np.array(x, np.int32) for x in (inputs, outputs))
        operator.builtinOptionsType = number
        if number:
            name = next(n for n, v in vars(schema.BuiltinOptions).items() if v == number)
            operator.builtinOptions = getattr(schema, f"{name}T")()
            for option, value in options.items():
                setattr(operator.builtinOptions, option, value)
        self.graph.operators.append(operator)

    def file(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file."""
        self.graph.inputs, self.graph.outputs = (np.array(x, np.int32) for x in (inputs, outputs))
        return packed(self.model)


def packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def chain(places: int, seed: int = 0) -> bytes:
    """Convolutions and depthwise ones by turns in int8; all tensors have one scale."""
    rng, build = np.random.default_rng(seed), Builder()
    shape = (1, SIZE, SIZE, CHANNELS)
    last = first = build.tensor("images", shape, "int8", IN_SCALE, 3)
    for place in range(places):
        depthwise = place % 2 == 1
        kernel = (1, 3, 3, CHANNELS) if depthwise else (CHANNELS, 1, 1, CHANNELS)
        codes = rng.integers(-127, 128, kernel).astype(np.int8)
        bias = rng.integers(-500, 500, CHANNELS).astype(np.int32)
        weights = build.tensor(f"w{place}", kernel, "int8", WEIGHT_SCALE, 0, codes)
        added = build.tensor(
            f"b{place}", (CHANNELS,), "int32", IN_SCALE * WEIGHT_SCALE, 0, bias
        )  # fmt: skip
        made = build.tensor(f"layer{place}", shape, "int8", IN_SCALE, 3)
        same = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}
        if depthwise:
            same["depthMultiplier"] = 1
        kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        build.operator(kind, (last, weights, added), (made,), version=3, **same)
        last = made
    return build.file((first,), (last,))


def with_bias_moved(content: bytes, place: int, by: int) -> bytes:
    """A copy of a file whose operator's biases are all larger by so many units."""
    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    operator = model.subgraphs[0].operators[place]
    buffer = model.buffers[model.subgraphs[0].tensors[operator.inputs[2]].buffer]
    moved = np.frombuffer(bytes(buffer.data), np.int32) + np.int32(by)
    buffer.data = np.frombuffer(moved.tobytes(), np.uint8)
    return packed(model)


def with_weights_behind(content: bytes) -> bytes:
    """A copy of a file whose constants lie behind the flatbuffer, as in large files."""
    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    stored = [(b, bytes(b.data)) for b in model.buffers if b.data is not None]
    for buffer, data in stored:
        buffer.data, buffer.offset, buffer.size = None, 2, len(data)
    end = len(packed(model))
    behind = b""
    for buffer, data in stored:
        behind += bytes(-(end + len(behind)) % 16)
        buffer.offset = end + len(behind)
        behind += data
    front = packed(model)
    assert len(front) == end
    return front + behind


def codes_feed(model: TfliteModel, count: int, seed: int = 1) -> Feed:
    """Images whose values are all over the first input's grid."""
    tensor = model.tensors[model.inputs[0]]
    low, high = (float(end) for end in tensor.params.range)
    x = np.random.default_rng(seed).uniform(low, high, (count, *tensor.shape[1:]))
    return Feed(model, [x.astype(np.float32)], np.arange(count), "none")


def in_process(function: str, argument: bytes, seconds: float) -> bytes:
    """`files.apart.run_apart` without a process."""
    module, name = function.split(":")
    called: Callable[[bytes], bytes] = getattr(importlib.import_module(module), name)
    return called(argument)
