"""What a .tflite file says: its tensors with their quantization, and its operators."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.numerics.grid import LIMITS, QuantParams
from tfqdyn.tflite.options import known, operator_options
from tfqdyn.tflite.schemas import schema

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

INDICES = ("int32", "int64", "bool")
"""dtypes of positions, shapes and conditions, which are never codes."""
STATE = ("ASSIGN_VARIABLE", "CALL_ONCE", "READ_VARIABLE", "VAR_HANDLE")
"""Operators on what a file keeps from one run to the next; some have no input, or no output."""
MOST_AXES = 8
LARGEST = 2**31 - 1
"""Most numbers in one tensor, and most bytes in a file."""
OVERLAP = 16


class TfliteFileError(ValueError):
    """The bytes are not a .tflite model that can be analyzed."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor: `params` is None where it is not quantized, `data` None where it is computed.

    `any_batch` tells that the first axis may take any size, `any_size` that another may, `variable`
    that the tensor keeps its value from one run to the next (the state of a recurrent layer).
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    params: QuantParams | None
    data: NDArray | None
    any_batch: bool = False
    any_size: bool = False
    variable: bool = False


@dataclass(frozen=True)
class Operator:
    """One operator, by the schema's name; -1 among `inputs` stands for one left out.

    Attributes:
        activation: what is fused into it, "NONE" or a name such as "RELU6".
        window: of pools, (height, width, vertical stride, horizontal stride).
        options: what else it says, see `options.READ`.
    """

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: str = "NONE"
    window: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, eq=False)
class TfliteModel:
    """The one subgraph of a file; operators in execution order."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def batch_shape(self, tensor: int, images: int) -> tuple[int, ...]:
        """The shape of an input for so many images, or for as many as the file fixes."""
        held = self.tensors[tensor]
        return (images if held.any_batch else held.shape[0], *held.shape[1:])


def read(path: Path) -> bytes:
    """The content of a .tflite file, which `parse` takes.

    Raises:
        TfliteFileError: it is not there, no file, or larger than .tflite files can be.
        OSError: it cannot be read.
    """
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise TfliteFileError(f"expected a .tflite file, but {str(path)!r} {what}")
    size = path.stat().st_size
    if size > LARGEST:
        raise TfliteFileError(f"{path} has {size:,} bytes; .tflite files have {LARGEST:,} at most")
    return path.read_bytes()


def parse(content: bytes, several: bool = False) -> TfliteModel:
    """Reads a .tflite file.

    Args:
        content: the file.
        several: whether it may hold several subgraphs (of control flow, or of further signatures);
            the first is read then.

    Raises:
        TfliteFileError: not a .tflite file, truncated, damaged, with several subgraphs, with
            constants that are NaN or infinite, or with custom operators.
    """
    if len(content) < 8 or content[4:8] != b"TFL3":
        raise TfliteFileError("expected a .tflite file (identifier TFL3 at byte 4)")
    try:
        model = _Parser(content).model(several)
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
    _check_order(model)
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


class _Parser:
    """Reads one file. Parts of a flatbuffer may overlap, so that little can stand for much: what is
    read in all may not exceed `OVERLAP` times the file.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._model: Any = schema.Model.GetRootAs(content, 0)
        self._left = OVERLAP * len(content)

    def model(self, several: bool) -> TfliteModel:
        subgraphs = self._model.SubgraphsLength()
        if subgraphs != 1 and not (several and subgraphs):
            raise TfliteFileError(
                f"expected a .tflite file with one subgraph, received {subgraphs}; control flow "
                "and several signatures are not supported"
            )
        graph = self._model.Subgraphs(0)
        return TfliteModel(
            tensors=tuple(self._tensor(graph, i) for i in range(graph.TensorsLength())),
            operators=tuple(self._operator(graph, i) for i in range(graph.OperatorsLength())),
            inputs=self._integers(graph.InputsLength(), graph.InputsAsNumpy),
            outputs=self._integers(graph.OutputsLength(), graph.OutputsAsNumpy),
        )

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise TfliteFileError(
                f"the .tflite file is damaged: its parts overlap, and come to more than {OVERLAP} "
                f"times its {len(self._content):,} bytes"
            )

    def _integers(self, count: int, read: Callable[[], Any]) -> tuple[int, ...]:
        """A vector of integers."""
        self._take(4 * count + 16)
        return tuple(int(i) for i in read()) if count else ()

    def _tensor(self, graph: Any, index: int) -> Tensor:
        raw = graph.Tensors(index)
        dtype = known(DTYPES, raw.Type(), "tensor type")
        shape = self._integers(raw.ShapeLength(), raw.ShapeAsNumpy)
        signature = self._integers(raw.ShapeSignatureLength(), raw.ShapeSignatureAsNumpy)
        if len(shape) > MOST_AXES or min(shape, default=0) < 0 or math.prod(shape) > LARGEST:
            raise TfliteFileError(f"tensor {index} has the shape {shape[: MOST_AXES + 1]}")
        data = _data(self._stored(raw.Buffer()), dtype, shape)
        name = (raw.Name() or b"").decode()
        self._take(len(name))
        any_batch, any_size = signature[:1] == (-1,), -1 in signature[1:]
        params = self._params(raw, dtype, shape, name)
        free = (any_batch, any_size, bool(raw.IsVariable()))
        return Tensor(index, name, shape, dtype, params, data, *free)

    def _stored(self, number: int) -> bytes | None:
        """A buffer's bytes: inside the flatbuffer, or behind it, where large files keep them."""
        if not number < self._model.BuffersLength():
            raise TfliteFileError(f"the .tflite file is damaged: it has no buffer {number}")
        buffer = self._model.Buffers(number)
        inside = buffer.DataAsNumpy()
        if not isinstance(inside, int):
            self._take(inside.size)
            return inside.tobytes()
        offset, size = buffer.Offset(), buffer.Size()
        if offset <= 1:  # 0 and 1 stand for none
            return None
        if offset + size > len(self._content):
            raise TfliteFileError(
                f"the .tflite file is damaged or truncated: it refers to byte {offset + size} and "
                f"has {len(self._content)}"
            )
        self._take(size)
        return self._content[offset : offset + size]

    def _params(
        self, raw: Any, dtype: str, shape: tuple[int, ...], name: str
    ) -> QuantParams | None:
        stored = raw.Quantization()
        if stored is not None and stored.DetailsType():
            raise TfliteFileError(
                f"tensor {name!r} is quantized in blocks or by custom rules; expected one scale a "
                "tensor or one a channel"
            )
        if stored is None or stored.ScaleLength() == 0 or dtype not in LIMITS:
            return None
        scales, axis = stored.ScaleLength(), stored.QuantizedDimension()
        self._take(12 * scales)
        if scales > 1 and not (0 <= axis < len(shape) and shape[axis] == scales):
            raise TfliteFileError(
                f"tensor {name!r} of shape {shape} has {scales} scales along axis {axis}"
            )
        zero_points = stored.ZeroPointLength()
        if zero_points not in (0, 1, scales):
            raise TfliteFileError(f"tensor {name!r}: {scales} scales, {zero_points} zero points")
        # left out: symmetric
        zero_point = stored.ZeroPointAsNumpy() if zero_points else np.zeros(1, np.int64)
        low, high = LIMITS[dtype]
        if zero_point.min() < low or zero_point.max() > high:
            raise TfliteFileError(f"tensor {name!r} has zero points that are no codes of {dtype}")
        scale = stored.ScaleAsNumpy()
        if dtype == "int16":  # TensorFlow's converter writes 0 for tensors of zeros alone
            scale = np.where(scale == 0, np.finfo(np.float32).tiny, scale)
        if scales == 1:
            return QuantParams(scale[0], zero_point[0], dtype)
        return QuantParams(scale, np.broadcast_to(zero_point, scale.shape), dtype, int(axis))

    def _operator(self, graph: Any, index: int) -> Operator:
        raw = graph.Operators(index)
        if not raw.OpcodeIndex() < self._model.OperatorCodesLength():
            raise TfliteFileError(f"operator {index} has a kind that the file does not list")
        code = self._model.OperatorCodes(raw.OpcodeIndex())
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind = OPERATORS.get(number, f"builtin {number}")
        if kind == "CUSTOM":
            kind = f"CUSTOM {(code.CustomCode() or b'').decode()}"
        activation, window, options = operator_options(raw)
        inputs = self._integers(raw.InputsLength(), raw.InputsAsNumpy)
        outputs = self._integers(raw.OutputsLength(), raw.OutputsAsNumpy)
        return Operator(index, kind, inputs, outputs, activation, window, options)


def _data(stored: bytes | None, dtype: str, shape: tuple[int, ...]) -> NDArray | None:
    if stored is None:
        return None
    if dtype == "int4":  # two codes a byte, the lower half first
        packed = np.frombuffer(stored, np.int8)
        codes = np.stack([np.left_shift(packed, 4) >> 4, packed >> 4], axis=-1)
        return codes.reshape(-1)[: math.prod(shape)].reshape(shape)
    return np.frombuffer(stored, _NUMPY[dtype]).reshape(shape) if dtype in _NUMPY else None


def _check_order(model: TfliteModel) -> None:
    """Every operator reads the inputs, constants, and what operators before it made, once each."""
    count = len(model.tensors)
    made = {t.index for t in model.tensors if t.data is not None or t.variable or 0 in t.shape}
    given = set(model.inputs)
    if made & given or len(given) < len(model.inputs) or not given <= set(range(count)):
        raise TfliteFileError("the .tflite file has an input that is a constant, twice, or nowhere")
    made |= given
    for op in model.operators:
        what = f"operator {op.index} ({op.kind})"
        if op.kind not in STATE and (not op.inputs or op.inputs[0] < 0 or not op.outputs):
            raise TfliteFileError(f"{what} has no input, or no output")
        if max(*op.inputs, *op.outputs, -1) >= count or min(*op.inputs, -1, *op.outputs) < -1:
            raise TfliteFileError(f"{what} refers to tensors that the file does not have")
        missing = {t for t in op.inputs if t >= 0 and _is_read(model.tensors[t])} - made
        if missing:
            raise TfliteFileError(
                f"{what} reads tensor {min(missing)}, which nothing before it makes"
            )
        kept = {t for t in op.outputs if t >= 0 and model.tensors[t].variable}
        again = (made - kept) & set(op.outputs) or len(set(op.outputs)) < len(op.outputs)
        if min(op.outputs, default=0) < 0 or again:
            raise TfliteFileError(f"{what} makes a tensor that is there already")
        made |= set(op.outputs)
    if not model.inputs or not model.outputs or not made >= set(model.outputs):
        raise TfliteFileError("the .tflite file has no input, no output, or one that nothing makes")


def _is_read(tensor: Tensor) -> bool:
    """Whether constants of this type are read at all; strings are not."""
    return tensor.dtype in _NUMPY or tensor.dtype == "int4"
