"""One operator of a .tflite file as a file of its own.

Its constants and options are copied as they are, and what operators compute of constants alone
becomes a constant; what depends on the file's inputs becomes the inputs of this one, in the
operator's order and once each. So any engine computes the operator from values that we choose, and
its latency can be measured.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from tfqdyn.files.quoting import brief
from tfqdyn.tflite.file import Operator, TfliteFileError, TfliteModel, schema

_IDENTIFIER = b"TFL3"


def fixed(model: TfliteModel) -> frozenset[int]:
    """The tensors that do not depend on the file's inputs: constants, and what is made of them.

    Files with weights in half precision dequantize them by operators.
    """
    found = {t.index for t in model.tensors if t.data is not None or 0 in t.shape}
    for operator in model.operators:
        if found.issuperset(t for t in operator.inputs if t >= 0):
            found |= set(operator.outputs)
    return frozenset(found)


def fed(operator: Operator, fixed: Collection[int]) -> tuple[int, ...]:
    """The tensors that an operator reads and that are not `fixed`, in its order, once each."""
    return tuple(dict.fromkeys(t for t in operator.inputs if t >= 0 and t not in fixed))


def weights_inside(content: bytes) -> bytes | None:
    """A copy of a file that keeps weights behind its flatbuffer, with the weights inside.

    Returns:
        None where they are inside already.
    """
    model = _unpacked(content)
    outside = [b for b in model.buffers if b.data is None and b.offset > 1]
    for buffer in outside:
        buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0
    return _packed(model) if outside else None


def _unpacked(content: bytes) -> Any:
    try:
        return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    except Exception as error:  # the flatbuffer reader raises whatever damage leads it to
        raise TfliteFileError(f"the .tflite file is damaged: {brief(error)}") from error


def _packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    try:
        builder.Finish(model.Pack(builder), _IDENTIFIER)
    except Exception as error:  # as above
        raise TfliteFileError(f"the .tflite file cannot be cut: {brief(error)}") from error
    return bytes(builder.Output())


class Cutter:
    """Cuts operators out of one file.

    Args:
        content: the file.
        model: the same, parsed; so it is sound.
        made: values of the tensors that operators compute of constants alone.
    """

    def __init__(self, content: bytes, model: TfliteModel, made: Mapping[int, NDArray]) -> None:
        self._content, self._model, self._made = content, model, made
        self._fixed = fixed(model)
        self._whole = _unpacked(content)

    def alone(self, index: int, shapes: Mapping[int, Sequence[int]]) -> bytes:
        """A file of one operator.

        Args:
            index: the operator's.
            shapes: of tensors that are known to have another shape than the file says.
        """
        graph = self._whole.subgraphs[0]
        operator = graph.operators[index]
        buffers: list[Any] = [schema.BufferT()]
        tensors: list[Any] = []
        places: dict[int, int] = {-1: -1}

        def place(tensor: int) -> int:
            if tensor not in places:
                places[tensor] = len(tensors)
                stored = self._stored(tensor, graph.tensors[tensor].buffer)
                tensors.append(_copy(graph.tensors[tensor], shapes.get(tensor), stored, buffers))
            return places[tensor]

        cut: Any = schema.OperatorT()
        for name, value in vars(operator).items():
            setattr(cut, name, value)
        for name in ("inputs", "outputs", "intermediates"):
            listed = getattr(operator, name)
            if listed is not None:
                setattr(cut, name, np.array([place(int(t)) for t in listed], np.int32))
        cut.opcodeIndex = 0
        told = self._model.operators[index]
        part: Any = schema.SubGraphT()
        part.tensors, part.operators, part.name = tensors, [cut], graph.name
        part.inputs = np.array([places[t] for t in fed(told, self._fixed)], np.int32)
        part.outputs = np.array([places[t] for t in told.outputs], np.int32)
        model: Any = schema.ModelT()
        model.version, model.buffers, model.subgraphs = self._whole.version, buffers, [part]
        model.operatorCodes = [self._whole.operatorCodes[operator.opcodeIndex]]
        return _packed(model)

    def _stored(self, tensor: int, number: int) -> Any:
        """A constant's bytes as an array; large files keep them behind the flatbuffer."""
        if tensor in self._made:
            return np.frombuffer(self._made[tensor].tobytes(), np.uint8)
        buffer = self._whole.buffers[number]
        if buffer.data is not None:
            return buffer.data
        if buffer.offset <= 1:
            return None
        return np.frombuffer(self._content, np.uint8, buffer.size, buffer.offset)


def _copy(original: Any, shape: Sequence[int] | None, stored: Any, buffers: list[Any]) -> Any:
    """A copy of a tensor with a buffer of its own, of a fixed shape."""
    copy: Any = schema.TensorT()
    for name, value in vars(original).items():
        setattr(copy, name, value)
    copy.shapeSignature = None
    if shape is not None:
        copy.shape = np.array(shape, np.int32)
    copy.buffer = 0 if stored is None else len(buffers)
    if stored is not None:
        buffers.append(schema.BufferT())
        buffers[-1].data = stored
    return copy
