"""What a .tflite file says: its tensors with their quantization, and its operators."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.affine import QuantParams

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
_NUMPY = {"uint8": "u1", "int8": "i1", "int16": "<i2", "int32": "<i4", "float32": "<f4"}


class TfliteFileError(ValueError):
    """The bytes are not a .tflite model that can be analyzed."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor: `params` is None where it is not quantized, `data` None where it is computed."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    params: QuantParams | None
    data: NDArray | None


@dataclass(frozen=True)
class Operator:
    """One operator, by the schema's name; -1 among `inputs` stands for one left out."""

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


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
        TfliteFileError: not a .tflite file, truncated, or with several subgraphs.
    """
    if len(content) < 8 or content[4:8] != b"TFL3":
        raise TfliteFileError("expected a .tflite file (identifier TFL3 at byte 4)")
    try:
        model: Any = schema.Model.GetRootAs(content, 0)
        if model.SubgraphsLength() != 1:
            raise TfliteFileError(
                f"expected a .tflite file with one subgraph, received {model.SubgraphsLength()}"
            )
        graph = model.Subgraphs(0)
        return TfliteModel(
            tensors=tuple(_tensor(model, graph, i) for i in range(graph.TensorsLength())),
            operators=tuple(_operator(model, graph, i) for i in range(graph.OperatorsLength())),
            inputs=_integers(graph.InputsAsNumpy()),
            outputs=_integers(graph.OutputsAsNumpy()),
        )
    except TfliteFileError:
        raise
    except Exception as error:  # the flatbuffer reader raises whatever the damage leads it to
        raise TfliteFileError(f"the .tflite file is damaged or truncated: {error}") from error


def _integers(array: NDArray | int) -> tuple[int, ...]:
    """A flatbuffer vector; the reader returns 0 for an empty one."""
    return () if isinstance(array, int) else tuple(int(i) for i in array)


def _tensor(model: Any, graph: Any, index: int) -> Tensor:
    raw = graph.Tensors(index)
    dtype = DTYPES[raw.Type()]
    shape = _integers(raw.ShapeAsNumpy())
    stored = model.Buffers(raw.Buffer()).DataAsNumpy()
    data = None
    if not isinstance(stored, int) and dtype in _NUMPY:
        data = np.frombuffer(stored.tobytes(), _NUMPY[dtype]).reshape(shape)
    return Tensor(index, raw.Name().decode(), shape, dtype, _params(raw, dtype), data)


def _params(raw: Any, dtype: str) -> QuantParams | None:
    stored = raw.Quantization()
    if stored is None or stored.ScaleLength() == 0 or dtype == "float32":
        return None
    scale, zero_point = stored.ScaleAsNumpy(), stored.ZeroPointAsNumpy()
    if scale.size == 1:
        return QuantParams(scale[0], zero_point[0], dtype)
    return QuantParams(scale, zero_point, dtype, int(stored.QuantizedDimension()))


def _operator(model: Any, graph: Any, index: int) -> Operator:
    raw = graph.Operators(index)
    code = model.OperatorCodes(raw.OpcodeIndex())
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    kind = OPERATORS.get(number, f"builtin {number}")
    if kind == "CUSTOM":
        kind = f"CUSTOM {code.CustomCode().decode()}"
    return Operator(index, kind, _integers(raw.InputsAsNumpy()), _integers(raw.OutputsAsNumpy()))
