"""What a .tflite file says: its tensors with their quantization, and its operators."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.affine import LIMITS, QuantParams

try:
    from ai_edge_litert import schema_py_generated as schema
except ImportError:  # TensorFlow carries the same generated reader
    from tensorflow.lite.python import schema_py_generated as schema

DTYPES = {
    value: name.lower()
    for name, value in vars(schema.TensorType).items()
    if not name.startswith("_")
}
OPERATORS = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}
_NUMPY = {
    "uint8": "u1", "int8": "i1", "int16": "<i2", "int32": "<i4", "int64": "<i8", "bool": "?",
    "float16": "<f2", "float32": "<f4",
}  # fmt: skip
_ACTIVATIONS = {
    value: name
    for name, value in vars(schema.ActivationFunctionType).items()
    if not name.startswith("_")
}
_OPTIONS = {
    value: name for name, value in vars(schema.BuiltinOptions).items() if not name.startswith("_")
}


class TfliteFileError(ValueError):
    """The bytes are not a .tflite model that can be analyzed."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor: `params` is None where it is not quantized, `data` None where it is computed.

    `any_batch` tells that the first axis may take any size.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    params: QuantParams | None
    data: NDArray | None
    any_batch: bool = False


@dataclass(frozen=True)
class Operator:
    """One operator, by the schema's name; -1 among `inputs` stands for one left out.

    Attributes:
        activation: what is fused into it, "NONE" or a name such as "RELU6".
        window: of pools, (height, width, vertical stride, horizontal stride).
    """

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: str = "NONE"
    window: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class TfliteModel:
    """The one subgraph of a file; operators in execution order."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def parse(content: bytes) -> TfliteModel:
    """Reads a .tflite file.

    Raises:
        TfliteFileError: not a .tflite file, truncated, with several subgraphs, with constants that
            are NaN or infinite, or with custom operators.
    """
    if len(content) < 8 or content[4:8] != b"TFL3":
        raise TfliteFileError("expected a .tflite file (identifier TFL3 at byte 4)")
    try:
        model = _model(content)
    except TfliteFileError:
        raise
    except Exception as error:  # the flatbuffer reader raises whatever the damage leads it to
        raise TfliteFileError(f"the .tflite file is damaged or truncated: {error}") from error
    _refuse_non_finite(model)
    custom = sorted({op.kind for op in model.operators if op.kind.startswith("CUSTOM")})
    if custom:
        raise TfliteFileError(
            f"the .tflite file has operators that are not TFLite's own: {', '.join(custom)}; "
            "convert the model with built-in operators only"
        )
    return model


def _refuse_non_finite(model: TfliteModel) -> None:
    broken = [
        repr(tensor.name)
        for tensor in model.tensors
        if tensor.data is not None
        and tensor.data.dtype.kind == "f"
        and not np.isfinite(tensor.data).all()
    ]
    if broken:
        raise TfliteFileError(
            "the .tflite file holds constants that are NaN or infinite: " + ", ".join(broken)
        )


def _model(content: bytes) -> TfliteModel:
    model: Any = schema.Model.GetRootAs(content, 0)
    if model.SubgraphsLength() != 1:
        raise TfliteFileError(
            f"expected a .tflite file with one subgraph, received {model.SubgraphsLength()}; "
            "control flow and several signatures are not supported"
        )
    graph = model.Subgraphs(0)
    return TfliteModel(
        tensors=tuple(_tensor(content, model, graph, i) for i in range(graph.TensorsLength())),
        operators=tuple(_operator(model, graph, i) for i in range(graph.OperatorsLength())),
        inputs=_integers(graph.InputsAsNumpy()),
        outputs=_integers(graph.OutputsAsNumpy()),
    )


def _integers(array: NDArray | int) -> tuple[int, ...]:
    """A flatbuffer vector; the reader returns 0 for an empty one."""
    return () if isinstance(array, int) else tuple(int(i) for i in array)


def _tensor(content: bytes, model: Any, graph: Any, index: int) -> Tensor:
    raw = graph.Tensors(index)
    dtype = DTYPES[raw.Type()]
    shape = _integers(raw.ShapeAsNumpy())
    signature = _integers(raw.ShapeSignatureAsNumpy())
    data = _data(_stored(content, model.Buffers(raw.Buffer())), dtype, shape)
    name = (raw.Name() or b"").decode()
    any_batch = bool(signature) and signature[0] == -1
    return Tensor(index, name, shape, dtype, _params(raw, dtype, name), data, any_batch)


def _stored(content: bytes, buffer: Any) -> bytes | None:
    """A buffer's bytes: inside the flatbuffer, or behind it, where large files keep them."""
    inside = buffer.DataAsNumpy()
    if not isinstance(inside, int):
        return inside.tobytes()
    offset, size = buffer.Offset(), buffer.Size()
    if offset <= 1:  # 0 and 1 stand for none
        return None
    if offset + size > len(content):
        raise TfliteFileError(
            f"the .tflite file is damaged or truncated: it refers to byte {offset + size} and has "
            f"{len(content)}"
        )
    return content[offset : offset + size]


def _data(stored: bytes | None, dtype: str, shape: tuple[int, ...]) -> NDArray | None:
    if stored is None:
        return None
    if dtype == "int4":  # two codes a byte, the lower half first
        packed = np.frombuffer(stored, np.int8)
        codes = np.stack([np.left_shift(packed, 4) >> 4, packed >> 4], axis=-1)
        return codes.reshape(-1)[: math.prod(shape)].reshape(shape)
    return np.frombuffer(stored, _NUMPY[dtype]).reshape(shape) if dtype in _NUMPY else None


def _params(raw: Any, dtype: str, name: str) -> QuantParams | None:
    stored = raw.Quantization()
    if stored is not None and stored.DetailsType():
        raise TfliteFileError(
            f"tensor {name!r} is quantized in blocks or by custom rules; expected one scale a "
            "tensor or one a channel"
        )
    if stored is None or stored.ScaleLength() == 0 or dtype not in LIMITS:
        return None
    scale = stored.ScaleAsNumpy()
    zero_point = stored.ZeroPointAsNumpy()
    if isinstance(zero_point, int):  # left out: symmetric
        zero_point = np.zeros(scale.size, np.int64)
    if scale.size == 1:
        return QuantParams(scale[0], zero_point[0], dtype)
    zero_point = np.broadcast_to(zero_point, scale.shape)
    return QuantParams(scale, zero_point, dtype, int(stored.QuantizedDimension()))


def _operator(model: Any, graph: Any, index: int) -> Operator:
    raw = graph.Operators(index)
    code = model.OperatorCodes(raw.OpcodeIndex())
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    kind = OPERATORS.get(number, f"builtin {number}")
    if kind == "CUSTOM":
        kind = f"CUSTOM {code.CustomCode().decode()}"
    activation, window = _options(raw)
    inputs, outputs = _integers(raw.InputsAsNumpy()), _integers(raw.OutputsAsNumpy())
    return Operator(index, kind, inputs, outputs, activation, window)


def _options(raw: Any) -> tuple[str, tuple[int, ...]]:
    """(fused activation, window) of an operator."""
    name, table = _OPTIONS[raw.BuiltinOptionsType()], raw.BuiltinOptions()
    if name == "NONE" or table is None:
        return "NONE", ()
    options = getattr(schema, name)()
    options.Init(table.Bytes, table.Pos)
    activation = "NONE"
    if hasattr(options, "FusedActivationFunction"):
        activation = _ACTIVATIONS[options.FusedActivationFunction()]
    window: tuple[int, ...] = ()
    if name == "Pool2DOptions":
        window = (
            options.FilterHeight(), options.FilterWidth(), options.StrideH(), options.StrideW()
        )  # fmt: skip
    return activation, window
