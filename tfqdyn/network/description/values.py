"""What JSON may hold where a description expects something; everything else is one clear error."""

from collections.abc import Mapping
from typing import Any

from tfqdyn.files.quoting import brief

LARGEST = 2**31 - 1
"""Largest size or count that a description may name; TensorFlow's kernels count in 32 bits."""


LONGEST_TEXT = 1000
"""Characters of a name or another text of a description; Keras' own have some dozens."""
LONGEST_SHOWN = 80
"""Characters of a wrong value that an error shows."""


class ModelFileError(ValueError):
    """The file is not a Keras model that can be read."""


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """A JSON object, or ModelFileError."""
    if not isinstance(value, Mapping):
        raise ModelFileError(f"{what} must be a JSON object, received {shown(value)}")
    return value


def list_of(value: Any, what: str) -> list[Any]:
    """A JSON list, or ModelFileError."""
    if not isinstance(value, list):
        raise ModelFileError(f"{what} must be a list, received {shown(value)}")
    return value


def text(value: Any, what: str) -> str:
    """A JSON string, or ModelFileError."""
    if not isinstance(value, str):
        raise ModelFileError(f"{what} must be a text, received {shown(value)}")
    if len(value) > LONGEST_TEXT:
        raise ModelFileError(f"{what} has {len(value):,} characters, more than {LONGEST_TEXT:,}")
    return value


def shown(value: Any) -> str:
    """A value of a file in an error: its beginning."""
    return brief(repr(value), LONGEST_SHOWN)


def batch_shape(shape: Any, what: str) -> tuple[int | None, ...]:
    """A shape whose sizes are numbers from 1 on, or None where they are not fixed."""
    sizes = list_of(shape, what)
    if not all(n is None or (type(n) is int and 0 < n <= LARGEST) for n in sizes):
        raise ModelFileError(f"{what} must list sizes, received {shown(sizes)}")
    return tuple(sizes)
