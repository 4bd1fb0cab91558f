"""`layers.csv`: the rows of the layer table, flat, without channels and single trials."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from tfqdyn.results.jsonvalues import plain
from tfqdyn.results.records import LayerResult

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

_PREFIXES = {"weights": "weight", "folded_weights": "folded_weight", "activations": "activation"}
_LEFT_OUT = ("channels", "quantization", "producers", "flags", "histogram", "kernel_grid")
_ON_REQUEST = (
    "own_qmse", "own_sqnr_db", "inherited_qmse", "own_bias_share", "source_sqnr_db",
    "saturated_share", "own_sqnr_pooled_db", "own_sqnr_infinite", "weight_bits",
    "activation_bits",
)  # fmt: skip


def text(layers: Sequence[LayerResult]) -> str:
    """The file's text: a header, and a line for each layer."""
    rows = [_flat(plain(layer)) for layer in layers]
    columns = list(dict.fromkeys([*FIRST_COLUMNS, *(key for row in rows for key in row)]))
    lines = io.StringIO()
    writer = csv.DictWriter(lines, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return lines.getvalue()


def _flat(layer: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in layer.items():
        if key in _LEFT_OUT or key == "trials" or (key in _ON_REQUEST and value is None):
            continue
        name = f"{prefix}{key}" if prefix else _PREFIXES.get(key, key)
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{name}_"))
        elif key == "output_shape":
            flat[name] = "x".join(map(str, value))
        elif key not in _PREFIXES:  # a layer without a kernel has no weight columns
            flat[name] = "" if value is None else value
    return flat
