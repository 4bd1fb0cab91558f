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
_ROW = re.compile(r"row(\d{4,})/")


def scope_of(row: int) -> str:
    """Name scope of the k-th row's ops; the slash at its end makes TensorFlow re-enter it."""
    return f"row{row:04d}/"


def origins(model: TfliteModel, rows: Sequence[LayerNode]) -> dict[int, tuple[str, ...]]:
    """The rows that went into each operator, by its index; the row whose value it gives first.

    Operators whose name says nothing are left out. The one that makes a file's only output gives
    the last row's value, whatever it is called.
    """
    found: dict[int, tuple[str, ...]] = {}
    for operator in model.operators:
        parts = [part for t in operator.outputs for part in model.tensors[t].name.split(";")]
        named = [rows[int(match[1])].name for part in parts if (match := _ROW.match(part))]
        if not named and operator.outputs == model.outputs:
            named = [rows[-1].name]
        if named:
            found[operator.index] = tuple(dict.fromkeys(named))
    return found


Origins = Mapping[int, tuple[str, ...]]
"""What `origins` finds."""
