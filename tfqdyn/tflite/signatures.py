"""What a .tflite file calls its inputs and outputs: its signatures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfqdyn.tflite.file import TfliteFileError, schema


@dataclass(frozen=True)
class Signature:
    """One way to call a file.

    Attributes:
        key: its name.
        subgraph: what it runs.
        inputs, outputs: indices of tensors, by the names that callers use.
    """

    key: str
    subgraph: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


def signatures(content: bytes) -> tuple[Signature, ...]:
    """The signatures of a file that `file.parse` has read; older files have none.

    Raises:
        TfliteFileError: they are damaged.
    """
    try:
        model = schema.Model.GetRootAs(content, 0)
        return tuple(_signature(model.SignatureDefs(i)) for i in range(model.SignatureDefsLength()))
    except Exception as error:  # the flatbuffer reader raises whatever the damage leads it to
        raise TfliteFileError(f"the .tflite file's signatures are damaged: {error}") from error


def _signature(raw: Any) -> Signature:
    def named(count: int, read: Any) -> dict[str, int]:
        found = [read(i) for i in range(count)]
        return {(m.Name() or b"").decode(): int(m.TensorIndex()) for m in found}

    return Signature(
        (raw.SignatureKey() or b"").decode(),
        int(raw.SubgraphIndex()),
        named(raw.InputsLength(), raw.Inputs),
        named(raw.OutputsLength(), raw.Outputs),
    )


def free_axes(content: bytes, tensor: int) -> tuple[int, ...]:
    """The axes of a tensor of the first subgraph that may take any size."""
    model: Any = schema.Model.GetRootAs(content, 0)
    raw = model.Subgraphs(0).Tensors(tensor)
    return tuple(i for i in range(raw.ShapeSignatureLength()) if raw.ShapeSignature(i) == -1)
