"""From the record of a `results.json` back to a `RunResult`, the reverse of `results.plain`.

What a file does not hold comes back as the field's default, so runs written before a field existed
are read too; an undefined number (null) comes back as NaN. The `.tflite` files are not read.
"""

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from tfqdyn import results
from tfqdyn.results import LayerResult, RunResult, resultsformat
from tfqdyn.results.jsonvalues import ALONE, BESIDE


def load(folder: Path) -> RunResult:
    """The run in a folder.

    Raises:
        ValueError: it is not a run folder, or its record is not of the format
            (`resultsformat`); the text names the key.
    """
    if not (folder / "results.json").is_file():
        what = "a folder without results.json" if folder.is_dir() else "no folder"
        raise ValueError(
            f"expected a run folder (one that `tfqdyn analyze --out=...` wrote), but {folder} is "
            f"{what}"
        )
    return restored(results.with_infinities(resultsformat.read(folder / "results.json")))


def restored(record: Mapping[str, Any]) -> RunResult:
    """The run that a record (as `results.read` gives it) describes.

    Raises:
        ValueError: a field that every run has is missing.
    """
    return _value(record, RunResult, "results")


def layers(record: Mapping[str, Any]) -> tuple[LayerResult, ...]:
    """The layers of such a record, without the rest.

    Raises:
        ValueError: a field that every layer has is missing.
    """
    return _value(record["layers"], tuple[LayerResult, ...], "results.layers")


def _value(value: Any, kind: Any, path: str) -> Any:
    """`value` as its annotation `kind` asks for it."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _value(value, next(k for k in inner if k is not type(None)), path)
    if is_dataclass(kind):
        return _record(value, kind, path)
    if origin is tuple:
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_value(v, k, path) for v, k in zip(value, kinds, strict=True))
    if origin is Mapping and inner[1] is not Any:
        return {key: _value(v, inner[1], f"{path}.{key}") for key, v in value.items()}
    if kind is float:
        return float("nan") if value is None else float(value)
    if kind is int:
        return int(value)
    return value


def _record(value: Mapping[str, Any], kind: Any, path: str) -> Any:
    kinds = typing.get_type_hints(kind)
    given: dict[str, Any] = {}
    for field in fields(kind):
        if BESIDE in field.metadata:
            given[field.name] = _gathered(value, field, kinds[field.name], path)
        elif field.name in value and field.name != "tflite":
            held, asked, where = value[field.name], kinds[field.name], f"{path}.{field.name}"
            held = _several(held, asked, where) if ALONE in field.metadata else held
            given[field.name] = _value(held, asked, where)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"expected the field {path}.{field.name}, which is missing")
    return kind(**given)


def _gathered(value: Mapping[str, Any], field: Field, kind: Any, path: str) -> Any:
    """The part of a record whose fields stand beside it; None where there is nothing of it."""
    keys = field.metadata[BESIDE]
    part = {name: value[key] for name, key in keys.items() if value.get(key) is not None}
    inner = next(k for k in typing.get_args(kind) if is_dataclass(k))
    for needed in fields(inner):
        if part and needed.name not in part and needed.default is MISSING:
            raise ValueError(f"expected the field {path}.{keys[needed.name]}, which is missing")
    return _value(part, inner, path) if part else None


def _several(value: Any, kind: Any, path: str) -> list[Any]:
    """The items of a tuple of which a single one may stand alone."""
    inner = typing.get_args(kind)[0]
    item = str if inner is str else list
    if isinstance(value, list) and all(isinstance(held, item) for held in value):
        return value
    if item is list and any(isinstance(held, list) for held in value):
        raise ValueError(f"expected {path} to hold numbers or lists of them, received both")
    return [value]
