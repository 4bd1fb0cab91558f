"""Tensors that a device wrote: a folder of arrays, and a small record that says what they are.

FOLDER/dump.json      {"tfqdyn_dump": 1, "device": "words", "tensors": [...]}

Every entry of "tensors" has

    "name"            of the tensor in the .tflite file; or "operator", its index in the file (and
                      "output", 0 if it is left out)
    "file"            a `.npy` file, or raw little-endian numbers, of all images one after another;
                      with "{image}" in its name, one file for each image (0, 1, ...)
    "dtype"           of raw files, by NumPy's name
    "layout"          "NHWC", if it is left out, or "NCHW"
    "scale", "zero_point"  where the device's codes are not those of the file

Real numbers stand for codes where the file's tensor is quantized. The images are those of
`inputs_0.npy`, ..., which the command writes, in their order; a dump may stop early.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.engines.calls import Values
from tfqdyn.files import wholefiles
from tfqdyn.files.quoting import brief
from tfqdyn.numerics.grid import QuantParams
from tfqdyn.tflite.file import Tensor, TfliteModel

MANIFEST = "dump.json"
VERSION = 1
IMAGE = "{image}"
LARGEST_MANIFEST = 2**24
_KEYS = {"name", "operator", "output", "file", "dtype", "layout", "scale", "zero_point"}
_LAYOUTS = ("NHWC", "NCHW")


class DumpError(ValueError):
    """A dump is not what its record says, or of another file."""


@dataclass(frozen=True, eq=False)
class Dump:
    """What a device wrote.

    Attributes:
        name: the folder's.
        device: what the manifest says of it.
        samples: how many runs of the file it holds.
        arrays: for every tensor, by index, its values [samples, ...]: codes, or (float64) real
            numbers instead of codes, or floats.
    """

    name: str
    device: str
    samples: int
    arrays: Mapping[int, NDArray]

    def values(self, start: int, end: int) -> Values:
        """The tensors of runs [start, end), as many of these as there are."""
        return [{t: a[k] for t, a in self.arrays.items()} for k in range(start, self._end(end))]

    def _end(self, end: int) -> int:
        return min(end, self.samples)


def read(folder: Path, model: TfliteModel) -> Dump:
    """A dump, checked against the file that it is of.

    Raises:
        DumpError: no dump, or not of this file; the text says what was expected.
    """
    path = folder / MANIFEST
    if not path.is_file() or path.stat().st_size > LARGEST_MANIFEST:
        raise DumpError(f"expected a dump with a small {MANIFEST} in {folder}, which has none")
    try:
        record = json.loads(path.read_bytes())
        version, entries = record["tfqdyn_dump"], record["tensors"]
        device = str(record.get("device", ""))
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
        raise DumpError(f"{path} is no record of a dump: {brief(repr(error))}") from error
    if version != VERSION or not isinstance(entries, list) or not entries:
        raise DumpError(f"{path}: expected tfqdyn_dump {VERSION} and a list of tensors")
    arrays: dict[int, NDArray] = {}
    for entry in entries:
        tensor = _tensor(path, entry, model)
        if tensor.index in arrays:
            raise DumpError(f"{path} lists {tensor.name!r} twice")
        arrays[tensor.index] = _array(folder, entry, tensor)
    counts = {len(array) for array in arrays.values()}
    if len(counts) > 1 or 0 in counts:
        raise DumpError(f"{path}: tensors of {sorted(counts)} runs; expected one number, above 0")
    return Dump(folder.resolve().name, device, counts.pop(), arrays)


def write(folder: Path, model: TfliteModel, values: Values, device: str) -> None:
    """Writes a dump, of values that an interpreter gave: an array [samples, ...] for each tensor.

    Raises:
        WriteError: see `wholefiles.replacing`.
    """
    wholefiles.prepare(folder)
    entries = []
    for tensor in values[0]:
        name = f"tensor_{tensor}.npy"
        with wholefiles.replacing(folder / name) as temporary:
            np.save(temporary, np.stack([sample[tensor] for sample in values]))
        entries.append({"name": model.tensors[tensor].name, "file": name})
    record = {"tfqdyn_dump": VERSION, "device": device, "tensors": entries}
    wholefiles.write(folder / MANIFEST, json.dumps(record, indent=1).encode())


def _tensor(path: Path, entry: Any, model: TfliteModel) -> Tensor:
    """The tensor that an entry is of."""
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        raise DumpError(f"{path}: expected every tensor to name a file, received {brief(entry)}")
    if unknown := sorted(set(entry) - _KEYS):
        raise DumpError(f"{path}: unknown keys {brief(unknown)}; expected {sorted(_KEYS)}")
    if entry.get("layout", _LAYOUTS[0]) not in _LAYOUTS:
        raise DumpError(f"{path}: layout must be one of {_LAYOUTS}, received {brief(entry)}")
    if "operator" in entry:
        index, output = entry["operator"], entry.get("output", 0)
        if not isinstance(index, int) or not 0 <= index < len(model.operators):
            raise DumpError(f"{path}: the file has {len(model.operators)} operators, not {index}")
        made = model.operators[index].outputs
        if not isinstance(output, int) or not 0 <= output < len(made):
            raise DumpError(f"{path}: operator {index} has {len(made)} outputs, not {output}")
        return model.tensors[made[output]]
    known = {model.inputs, *(operator.outputs for operator in model.operators)}
    computed = [model.tensors[t] for listed in known for t in listed]
    found = [tensor for tensor in computed if tensor.name == entry.get("name")]
    if len(found) != 1:
        raise DumpError(
            f"{path}: the file computes {len(found)} tensors of the name "
            f"{brief(repr(entry.get('name')))}; expected one, or the operator's index"
        )
    return found[0]


def _array(folder: Path, entry: Mapping[str, Any], tensor: Tensor) -> NDArray:
    """An entry's values [samples, ...] in the file's order of axes and, where possible, codes."""
    name = entry["file"]
    if IMAGE in name:
        paths = _numbered(folder, name)
        parts = [_loaded(path, entry, tensor) for path in paths]
        sizes = {part.size for part in parts}
        if len(sizes) != 1:
            raise DumpError(f"{folder / name}: expected files of one size, from image 0 on")
        found = np.stack([part.reshape(-1) for part in parts])
    else:
        found = _loaded(_inside(folder, name), entry, tensor)
    size = int(np.prod(tensor.shape))
    if not size or found.size % size:
        raise DumpError(
            f"{folder / name} holds {found.size:,} numbers; {tensor.name!r} has {size:,} in a run"
        )
    if entry.get("layout") == "NCHW":
        height, width, channels = _spatial(tensor)
        moved = found.reshape(-1, channels, height, width)
        found = np.ascontiguousarray(np.moveaxis(moved, 1, -1))
    return _coded(found.reshape(-1, *tensor.shape), entry, tensor, folder / name)


def _spatial(tensor: Tensor) -> tuple[int, ...]:
    if len(tensor.shape) != 4:
        raise DumpError(f"{tensor.name!r} of shape {tensor.shape} has no layout NCHW")
    return tensor.shape[1:]


def _numbered(folder: Path, name: str) -> list[Path]:
    found: list[Path] = []
    while (path := _inside(folder, name.replace(IMAGE, str(len(found))))).is_file():
        found.append(path)
    return found


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DumpError(f"a dump's files lie in its folder; received {brief(name)!r}")
    return path


def _loaded(path: Path, entry: Mapping[str, Any], tensor: Tensor) -> NDArray:
    """The numbers of one file, as they are."""
    if not path.is_file():
        raise DumpError(f"the dump's {path} does not exist, or is no file")
    try:
        if path.suffix == ".npy":
            found = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            found = np.memmap(path, np.dtype(entry.get("dtype", tensor.dtype)), "r")
    except (ValueError, TypeError, EOFError, OSError, SyntaxError) as error:
        raise DumpError(f"{path} holds no array of numbers: {brief(error)}") from error
    if found.dtype.kind not in "biuf":
        raise DumpError(f"{path} holds {found.dtype}, not numbers")
    return found


def _coded(values: NDArray, entry: Mapping[str, Any], tensor: Tensor, path: Path) -> NDArray:
    """Values of a quantized tensor in the file's codes; real numbers where they are none."""
    scale, zero = entry.get("scale"), entry.get("zero_point", 0)
    if scale is not None:
        if not all(isinstance(v, (int, float)) for v in (scale, zero)) or not scale > 0:
            raise DumpError(f"{path}: expected a scale above 0 and a zero point, as numbers")
        if tensor.params is not None and _same(tensor.params, float(scale), float(zero)):
            return values
        values = (values.astype(np.float64) - zero) * scale
    if tensor.params is None:
        if values.dtype.kind != np.dtype(tensor.dtype).kind:
            raise DumpError(f"{path} holds {values.dtype}; {tensor.name!r} is {tensor.dtype}")
        return values
    if values.dtype.kind == "f":
        return values.astype(np.float64) / tensor.params.scale + tensor.params.zero_point
    if values.dtype != np.dtype(tensor.dtype):
        raise DumpError(
            f"{path} holds {values.dtype}, {tensor.name!r} is {tensor.dtype}: say the device's "
            '"scale" and "zero_point"'
        )
    return values


def _same(params: QuantParams, scale: float, zero: float) -> bool:
    """Whether codes mean the same, but for the digits that a tool prints."""
    return params.axis is None and (
        abs(float(params.scale) - scale) <= 1e-5 * scale and float(params.zero_point) == zero
    )


def as_codes(values: NDArray, tensor: Tensor) -> NDArray:
    """What an operator reads of a dump's values: codes where real numbers stand for them."""
    if values.dtype == np.dtype(tensor.dtype):
        return values
    if tensor.params is None:
        return values.astype(tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    codes = np.rint(np.nan_to_num(values))
    return np.clip(codes, limits.min, limits.max).astype(tensor.dtype)


def tensors_of(values: Sequence[Mapping[int, NDArray]]) -> set[int]:
    """The tensors that every run has."""
    return set.intersection(*(set(sample) for sample in values)) if values else set()
