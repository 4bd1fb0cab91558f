"""Records in a file, read back as they were: types, every digit, and parts that are shared.

A file is an uncompressed `.npz` archive of arrays, among them a description in JSON that says how
they make up dataclasses, tuples, dictionaries and so on. Reading makes only the classes that the
reader expects, and runs nothing of the file.
"""

import dataclasses
import json
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfqdyn.files import archives, wholefiles

_DESCRIPTION = "description"


class RecordFileError(ValueError):
    """The file is damaged, or holds no record of the expected kind."""


def write(path: Path, record: Any) -> None:
    """Writes a dataclass' instance, whole.

    Fields may hold dataclasses, mappings, tuples, lists, frozen sets of texts, numbers, texts,
    bytes, None and arrays of numbers; what several fields share is shared in the file, too.

    Raises:
        TypeError: a field holds something else.
        WriteError: see `wholefiles.replacing`.
    """
    packed = _Packed()
    description = json.dumps({"record": packed.pack(record), "objects": packed.objects})
    arrays: dict[str, Any] = {f"a{place}": array for place, array in enumerate(packed.arrays)}
    arrays[_DESCRIPTION] = np.frombuffer(description.encode(), np.uint8)
    with wholefiles.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def read(path: Path, kind: type) -> Any:
    """The record in a file.

    Args:
        path: what `write` wrote.
        kind: the dataclass; those in its annotations are expected, too.

    Raises:
        RecordFileError: it is damaged, or holds another record.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            description = json.loads(arrays[_DESCRIPTION].tobytes())
            return _Unpacked(description["objects"], arrays, classes_of(kind)).unpack(
                description["record"]
            )
    except (*archives.ZIP_ERRORS, TypeError, IndexError, AttributeError) as error:
        raise RecordFileError(f"{path} is damaged, or of another version: {error!r}") from error


def classes_of(kind: type) -> dict[str, type]:
    """A dataclass and all that its fields' annotations name, by name."""
    found: dict[str, type] = {}
    waiting: list[Any] = [kind]
    while waiting:
        one = waiting.pop()
        if dataclasses.is_dataclass(one) and isinstance(one, type) and one.__name__ not in found:
            found[one.__name__] = one
            waiting += typing.get_type_hints(one).values()
        waiting += typing.get_args(one)
    return found


class _Packed:
    """Values as JSON, arrays and records apart, each once."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self.objects: list[Any] = []
        self._places: dict[int, Any] = {}
        self._alive: list[Any] = []  # so that no identity is given twice

    def pack(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | str) or type(value) in (int, float):
            return value
        if id(value) not in self._places:
            self._alive.append(value)
            self._places[id(value)] = self._form(value)
        return self._places[id(value)]

    def _form(self, value: Any) -> dict[str, Any]:
        if isinstance(value, np.ndarray | np.generic):
            if value.dtype.hasobject:
                raise TypeError(f"an array of objects cannot be written: {value.dtype}")
            return self._array("array" if isinstance(value, np.ndarray) else "scalar", value)
        if isinstance(value, bytes):
            return self._array("bytes", np.frombuffer(value, np.uint8))
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            packed = [type(value).__name__, {name: self.pack(v) for name, v in fields.items()}]
            self.objects.append(packed)
            return {"object": len(self.objects) - 1}
        if isinstance(value, Mapping):
            return {"dict": [[self.pack(key), self.pack(item)] for key, item in value.items()]}
        if isinstance(value, frozenset):
            return {"frozenset": sorted(value)}
        if isinstance(value, tuple | list):
            return {type(value).__name__: [self.pack(item) for item in value]}
        raise TypeError(f"a record cannot hold {type(value).__name__} in a file: {value!r}")

    def _array(self, form: str, value: Any) -> dict[str, int]:
        self.arrays.append(np.asarray(value))
        return {form: len(self.arrays) - 1}


class _Unpacked:
    """The way back; objects and arrays that several values name are made once."""

    def __init__(self, objects: list[Any], arrays: Any, classes: Mapping[str, type]) -> None:
        self._arrays, self._classes = arrays, classes
        self._read: dict[int, np.ndarray] = {}
        self._objects: list[Any] = []
        for name, fields in objects:  # in the order in which they need each other
            kind = self._classes[name]
            made = {field: self.unpack(value) for field, value in fields.items()}
            self._objects.append(kind(**made))

    def unpack(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        ((form, content),) = value.items()
        if form == "object":
            return self._objects[content]
        if form == "dict":
            return {self.unpack(key): self.unpack(item) for key, item in content}
        if form == "frozenset":
            return frozenset(content)
        if form in ("tuple", "list"):
            items = [self.unpack(item) for item in content]
            return tuple(items) if form == "tuple" else items
        array = self._array(content)
        return {"array": array, "scalar": array[()], "bytes": array.tobytes()}[form]

    def _array(self, place: int) -> np.ndarray:
        if place not in self._read:
            self._read[place] = self._arrays[f"a{place}"]
        return self._read[place]
