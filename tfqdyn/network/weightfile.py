"""What an HDF5 file holds, read by libhdf5 in a process of its own (see `apart`).

HDF5 can refer to other files, to itself, and to far more than it holds. Keras writes none of that:
groups, attributes, and arrays of numbers as they are. Files with anything else are refused.
"""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfqdyn.files.apart import run_apart

DESCRIPTION_LIMIT = 16 * 2**20
"""Bytes that a model's description, or another attribute, may have; NASNetLarge's has one MB."""
_BFLOAT16 = "|V2"
_SECONDS = 60
_BYTES_A_SECOND = 20e6


@dataclass(frozen=True)
class Contents:
    """`description` is the model's (None if there is none), `size` that of all arrays, in bytes."""

    description: str | None
    size: int


def contents(path: Path) -> Contents:
    """What a file holds; all of it is read once, so that what crashes libhdf5 does so apart.

    Raises:
        ValueError: no HDF5 file, a damaged one, or one with what Keras does not write.
        ApartError: libhdf5 crashed or did not end.
    """
    seconds = _SECONDS + path.stat().st_size / _BYTES_A_SECOND
    asked = os.fsencode(path.resolve())
    return Contents(**json.loads(run_apart("tfqdyn.network.weightfile:read_apart", asked, seconds)))


def read_apart(path: bytes) -> bytes:
    """`contents` in the process that it starts."""
    import h5py  # only here

    held = os.stat(path).st_size
    try:
        with h5py.File(path, "r") as file:
            size = sum(_size(dataset) for dataset in _datasets(file))
            if size > held:
                raise ValueError(f"its arrays should have {size:,} bytes, the file has {held:,}")
            for dataset in _datasets(file):
                dataset[()]
            description = _description(file)
    except Exception as error:  # libhdf5 and h5py raise many kinds
        raise ValueError(str(error)) from error
    return json.dumps({"description": description, "size": size}).encode()


def _description(file: Any) -> str | None:
    stored = file.attrs.get("model_config")
    text = stored.decode() if isinstance(stored, bytes) else stored
    if text is not None and not isinstance(text, str):
        raise ValueError(f"the description of its model is no text, but {type(text).__name__}")
    return text


def _datasets(file: Any) -> Iterator[Any]:
    """Every array of a file, once; refuses what Keras does not write."""
    import h5py
    from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue] (it is Cython)

    groups, seen = [file], {h5o.get_info(file.id).addr}
    while groups:
        group = groups.pop()
        _check_attributes(group)
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{group.name}/{name} is a link to elsewhere")
            item = group[name]
            address = h5o.get_info(item.id).addr
            if address in seen:
                raise ValueError(f"{group.name}/{name} is there twice")
            seen.add(address)
            if isinstance(item, h5py.Group):
                groups.append(item)
            elif isinstance(item, h5py.Dataset):
                yield item
            else:
                raise ValueError(f"{group.name}/{name} is a {type(item).__name__}")


def _check_attributes(group: Any) -> None:
    """Attributes are numbers or texts, or lists of them; texts may be stored once for many."""
    for name in group.attrs:
        kind = group.attrs.get_id(name)
        size = math.prod(kind.shape) * kind.dtype.itemsize
        if kind.dtype.kind not in "OSfiub" or size > DESCRIPTION_LIMIT:
            raise ValueError(f"attribute {name!r} of {group.name} is {kind.dtype} {kind.shape}")
        texts = np.atleast_1d(np.asarray(group.attrs[name], object)).ravel()
        if sum(len(text) for text in texts if isinstance(text, (str, bytes))) > DESCRIPTION_LIMIT:
            raise ValueError(f"attribute {name!r} of {group.name} has too long texts")


def _size(dataset: Any) -> int:
    """Bytes of an array of numbers that is stored as it is."""
    if dataset.dtype.kind not in "fiub" and dataset.dtype.str != _BFLOAT16:
        raise ValueError(f"{dataset.name} holds {dataset.dtype}, not numbers")
    size, stored = dataset.size * dataset.dtype.itemsize, dataset.id.get_storage_size()
    if dataset.external or dataset.is_virtual or size != stored:
        raise ValueError(
            f"{dataset.name} should have {size:,} bytes and stores {stored:,} here: compressed, or "
            "kept elsewhere; save the model with Keras"
        )
    return size
