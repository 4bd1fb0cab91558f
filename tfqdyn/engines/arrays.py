"""Named arrays and a record as bytes: a line of JSON, then the memory of one array after another.

A file may have damaged the process that writes them, so they are read as data: nothing is
unpickled, and sizes are checked against what is there.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

KINDS = "biuf"
"""NumPy's kinds of numbers that are passed on."""


def packed(record: Any, arrays: Mapping[str, NDArray]) -> bytes:
    """A record that JSON knows, and arrays of numbers by name."""
    held = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    told = {name: [a.dtype.str, list(np.shape(arrays[name]))] for name, a in held.items()}
    header = json.dumps({"record": record, "arrays": told}).encode()
    return b"".join([header, b"\n", *(array.tobytes() for array in held.values())])


def unpacked(content: bytes) -> tuple[Any, dict[str, NDArray]]:
    """The record and the arrays, which are views into the bytes.

    Raises:
        ValueError: the bytes are not what `packed` gives.
    """
    end = content.find(b"\n")
    try:
        header = json.loads(content[: max(end, 0)])
        told, start, found = header["arrays"], end + 1, {}
        for name, (kind, shape) in told.items():
            dtype, count = np.dtype(kind), math.prod(shape)
            if dtype.kind not in KINDS or min(shape, default=0) < 0:
                raise ValueError(f"array {name!r} is {kind} {shape}")
            found[name] = np.frombuffer(content, dtype, count, start).reshape(shape)
            start += dtype.itemsize * count
        return header["record"], found
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"expected packed arrays, received {len(content):,} bytes") from error
