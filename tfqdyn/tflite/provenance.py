"""Which row of the layer table each operator of a file of our own making comes from.

A conversion traces every row in a name scope of its own. TensorFlow's converter keeps names: it
calls an operator's output by the operations that went into it, the last one first, joined by ";".
What a name says is where to look; whether the operator computes the row is checked by `matching`.
"""

import re
from collections.abc import Mapping, Sequence

from tfqdyn.network.graph import LayerNode
from tfqdyn.tflite.file import TfliteModel

LAYOUT = "layout/"
"""Name scope of what belongs to no row."""
_COUNTED = re.compile(r"[A-Za-z]+(?:_(\d+))?(?::0)?")
_ROW = re.compile(r"row(\d{4,})/")


def scope_of(row: int) -> str:
    """Name scope of the k-th row's ops; the slash at its end makes TensorFlow re-enter it."""
    return f"row{row:04d}/"


def origins(
    model: TfliteModel, rows: Sequence[LayerNode], ends: Sequence[str] = ()
) -> dict[int, tuple[str, ...]]:
    """The rows that went into each operator, by its index; the row whose value it gives first.

    Operators whose name says nothing are left out, but for those that make the file's outputs:
    they are called as the outputs are, and give the values of `ends`.

    Args:
        model: the file.
        rows: of the network.
        ends: names of the rows that give its outputs, in their order; by default the last row's.
    """
    ends = ends or [rows[-1].name]
    found: dict[int, tuple[str, ...]] = {}
    for operator in model.operators:
        parts = [part for t in operator.outputs for part in model.tensors[t].name.split(";")]
        named = [rows[int(match[1])].name for part in parts if (match := _ROW.match(part))]
        if not named and operator.outputs[0] in model.outputs:
            named = [ends[_place(model, operator.outputs[0])]]
        if named:
            found[operator.index] = tuple(dict.fromkeys(named))
    return found


def _place(model: TfliteModel, tensor: int) -> int:
    """Which of the outputs a tensor is: as its name counts ("Identity_1"), else as the file."""
    numbers = []
    for index in model.outputs:
        match = _COUNTED.fullmatch(model.tensors[index].name)
        numbers.append(-1 if match is None else int(match[1] or 0))
    if sorted(numbers) == list(range(len(numbers))):
        return numbers[model.outputs.index(tensor)]
    return model.outputs.index(tensor)


Origins = Mapping[int, tuple[str, ...]]
"""What `origins` finds."""
