"""How records lie in JSON: a dataclass is an object with its fields' names for keys, but for two.

`beside` spreads the fields of a part over the record that has it, each under a key of its own, and
`ONE_ALONE` writes a tuple of one as what it holds. Infinities are the strings "inf" and "-inf", an
undefined number is null.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

BESIDE, ALONE = "beside", "alone"
"""What a field's metadata may hold."""
ONE_ALONE: Mapping[str, Any] = {ALONE: True}
"""Metadata of a tuple of which a single item is written without it."""


def beside(**keys: str) -> Mapping[str, Any]:
    """Metadata of a field that is None or a dataclass: the keys of that one's fields, by name."""
    return {BESIDE: keys}


def plain(value: Any) -> Any:
    """Only what JSON knows."""
    if is_dataclass(value) and not isinstance(value, type):
        value = _keyed(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if math.isnan(number):
            return None
        return number if math.isfinite(number) else ("inf" if number > 0 else "-inf")
    return int(value) if isinstance(value, np.integer) else value


def _keyed(record: Any) -> dict[str, Any]:
    """A record's values by their keys."""
    found: dict[str, Any] = {}
    for part in fields(record):
        value = getattr(record, part.name)
        if BESIDE in part.metadata:
            keys = part.metadata[BESIDE].items()
            found |= {key: None if value is None else getattr(value, n) for n, key in keys}
        else:
            alone = ALONE in part.metadata and len(value) == 1
            found[part.name] = value[0] if alone else value
    return found


def with_infinities(record: Any) -> Any:
    """A record with "inf" and "-inf" as floats; names and remarks stay as they are."""
    if isinstance(record, dict):
        return {k: v if k in _WORDS else with_infinities(v) for k, v in record.items()}
    if isinstance(record, list):
        return [with_infinities(item) for item in record]
    return float(record) if record in ("inf", "-inf") else record


_WORDS = {
    "calibration_split", "config", "dtype", "flags", "kernels", "kind", "name", "notes",
    "producers", "reference", "sha256", "skipped", "task", "versions",
}  # fmt: skip
"""Keys whose values may be any text."""
