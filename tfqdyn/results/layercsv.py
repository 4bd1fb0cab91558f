"""`layers.csv`: the rows of the layer table, flat, without channels and single trials."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from tfqdyn.results.layervalues import LAYER_VALUES
from tfqdyn.results.records import LayerResult, Spread

FIRST_COLUMNS = (
    "number", "name", "kind",
    "weight_range", "weight_average_precision",
    "folded_weight_range", "folded_weight_average_precision",
    "activation_range_mean", "activation_range_std",
    "activation_average_precision_mean", "activation_average_precision_std",
    "qmse_mean", "qmse_std", "qce_mean", "qce_std", "qkl_div_mean", "qkl_div_std",
    "sqnr_db_mean", "sqnr_db_std",
)  # fmt: skip
"""The columns that `layers.csv` begins with."""
_VALUES = tuple(f"{name}{end}" for name in LAYER_VALUES for end in ("", "_mean", "_std"))
_COLUMNS = ("number", "name", "kind", *_VALUES, "output_shape", "dtype", "reference")


def text(layers: Sequence[LayerResult]) -> str:
    """The file's text: a header, and a line for each layer; values that none has are left out."""
    found = rows(layers)
    lines = io.StringIO()
    writer = csv.DictWriter(lines, columns(found), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return lines.getvalue()


def rows(layers: Sequence[LayerResult]) -> list[dict[str, Any]]:
    """The file's rows, by column; "" where a value is undefined."""
    return [_flat(layer) for layer in layers]


def columns(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns of rows, in the file's order."""
    there = {*FIRST_COLUMNS, *(column for row in found for column in row)}
    return [column for column in _COLUMNS if column in there]


def _flat(layer: LayerResult) -> dict[str, Any]:
    flat: dict[str, Any] = {
        "number": layer.number,
        "name": layer.name,
        "kind": layer.kind,
        "output_shape": "x".join(map(str, layer.output_shape)),
        "dtype": layer.dtype,
        "reference": layer.reference,
    }
    for name, value in LAYER_VALUES.items():
        found = value.read(layer)
        if isinstance(found, Spread):
            flat[f"{name}_mean"], flat[f"{name}_std"] = found.mean, found.std
        elif found is not None:
            flat[name] = found
    return {column: "" if cell is None or cell != cell else cell for column, cell in flat.items()}
