"""Data as people have them in Python -> a `Dataset`.

Taken are a `Dataset`; an array; (inputs, labels); ((x_train, y_train), (x_test, y_test)), as
`keras.datasets` gives them; a mapping of arrays, in the names of a `.npz` file or of the network's
inputs; a `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator, of samples or of batches; a
list of files of photographs. Arrays are whatever NumPy takes. What streams is read once, into
memory. Labels that are one-hot become class numbers.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.datasets.records import Dataset, Inputs
from tfqdyn.files import memory
from tfqdyn.files.imagefiles import DataError, FolderImages

NAME = "given"
"""What results call data that came without a name."""
ONE_HOT = "Labels came one-hot: a class is the position of the 1."
_KEYS = ("x_test", "y_test", "x_train", "y_train")
_TAKEN = (
    "an array, (inputs, labels), a tf.data.Dataset, a keras.utils.PyDataset, a generator, a list "
    "of image files, a mapping of arrays, or what tfqdyn.datasets.load gives"
)


def given(data: Any, shapes: Mapping[str, tuple[int, ...]]) -> Dataset:
    """The data set that `data` is.

    Args:
        data: see the module.
        shapes: for every input of the network, by its name, its shape without the batch axis.

    Raises:
        DataError: what came is none of these, or would not fit into memory.
    """
    if isinstance(data, Dataset):
        found = data
    elif isinstance(data, Mapping):
        found = _from_mapping(data, shapes)
    elif _is_pair(data) and all(_is_pair(part) for part in data):
        train, test = (_split(part[0], part[1], shapes) for part in data)
        found = Dataset(NAME, test[0], test[1], train[0], train[1])
    elif _is_pair(data) and not _is_path(data[0]):
        found = Dataset(NAME, *_split(data[0], data[1], shapes))
    elif _streams(data):
        found = Dataset(NAME, *_collected(_samples(data), shapes))
    else:
        found = Dataset(NAME, _inputs(data, shapes))
    return with_class_numbers(found)


def with_class_numbers(dataset: Dataset) -> Dataset:
    """The data set with class numbers [N] instead of one-hot labels [N, C]; a note says so."""
    test, train = (_class_numbers(y) for y in (dataset.y_test, dataset.y_train))
    if test is dataset.y_test and train is dataset.y_train:
        return dataset
    return replace(dataset, y_test=test, y_train=train, notes=(*dataset.notes, ONE_HOT))


def _class_numbers(labels: NDArray | None) -> NDArray | None:
    if labels is None or labels.ndim != 2 or labels.shape[1] < 2 or labels.dtype.kind == "c":
        return labels
    is_one = labels == 1
    if not ((labels == 0) | is_one).all() or not (is_one.sum(axis=1) == 1).all():
        return labels
    return is_one.argmax(axis=1)


def _is_pair(data: Any) -> bool:
    return isinstance(data, tuple | list) and len(data) == 2


def _is_path(item: Any) -> bool:
    return isinstance(item, str | os.PathLike)


def _streams(data: Any) -> bool:
    """Whether samples or batches come one after another."""
    kinds = {base.__name__ for base in type(data).__mro__}
    if kinds & {"PyDataset", "Sequence"} and hasattr(data, "__getitem__"):
        return not isinstance(data, list | tuple | str)
    return hasattr(data, "element_spec") or isinstance(data, Iterator)


def _samples(data: Any) -> Iterable[Any]:
    """What a streaming object gives, once through."""
    if hasattr(data, "element_spec"):
        cardinality = int(getattr(data, "cardinality", lambda: -2)())
        if cardinality == -1:
            raise DataError("the tf.data.Dataset is infinite (repeat()): give .take(COUNT) of it")
        return data.as_numpy_iterator()
    if isinstance(data, Iterator):
        return data
    return (data[place] for place in range(len(data)))


def _collected(elements: Iterable[Any], shapes: Mapping[str, tuple[int, ...]]) -> tuple[Any, Any]:
    """All samples, and their labels if they have any, of elements that are samples or batches."""
    columns: dict[str, list[NDArray]] = {}
    labels: list[NDArray] = []
    taken, most = 0, memory.total() // 2
    for count, element in enumerate(elements):
        x, y = (element[0], element[1]) if isinstance(element, tuple | list) else (element, None)
        parts = _by_name(x, shapes)
        name = next(iter(parts))
        is_batch = parts[name].ndim > len(shapes[name])
        if y is not None:
            labels.append(np.asarray(y) if is_batch else np.asarray(y)[None])
        elif labels:
            raise DataError(f"element {count} has no labels, the ones before it have")
        for key, part in parts.items():
            columns.setdefault(key, []).append(part if is_batch else part[None])
            taken += part.nbytes
        if taken > most:
            raise DataError(
                f"the data take more than {memory.words(most)}, half of the memory here: save them "
                "with np.savez and give the file's name to tfqdyn.datasets.load"
            )
    if not columns:
        raise DataError("the data hold no sample; a generator can be read once only")
    arrays = {name: np.concatenate(of) for name, of in columns.items()}
    inputs = Inputs(arrays) if len(shapes) > 1 else arrays[next(iter(shapes))]
    return inputs, np.concatenate(labels) if labels else None


def _by_name(x: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray]:
    """One array for each input of the network, of a sample or a batch."""
    if isinstance(x, Mapping):
        missing = [name for name in shapes if name not in x]
        if missing:
            raise DataError(
                f"the data have no array for {', '.join(missing)}; the model's inputs are "
                f"{', '.join(shapes)}, the arrays {', '.join(map(str, x))}"
            )
        return {name: _array(x[name]) for name in shapes}
    if len(shapes) == 1:
        return {next(iter(shapes)): _array(x)}
    if not isinstance(x, tuple | list) or len(x) != len(shapes):
        raise DataError(
            f"the model has {len(shapes)} inputs ({', '.join(shapes)}): give as many arrays, in "
            f"that order or by these names; received {_told(x)}"
        )
    return {name: _array(part) for name, part in zip(shapes, x, strict=True)}


def _from_mapping(data: Mapping, shapes: Mapping[str, tuple[int, ...]]) -> Dataset:
    if "x_test" in data:
        unknown = sorted(str(key) for key in data if key not in _KEYS)
        if unknown:
            raise DataError(
                f"expected arrays {', '.join(_KEYS)}, received {', '.join(unknown)} too"
            )
        splits = [_split(data.get(x), data.get(y), shapes) for x, y in (_KEYS[:2], _KEYS[2:])]
        return Dataset(NAME, *splits[0], *splits[1])
    labels = data.get("y_test")
    return Dataset(NAME, _inputs(data, shapes), None if labels is None else _labels(labels))


def _split(x: Any, y: Any, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Any, Any]:
    return (None if x is None else _inputs(x, shapes)), (None if y is None else _labels(y))


def _inputs(x: Any, shapes: Mapping[str, tuple[int, ...]]) -> Any:
    """Array-like [N, ...], photographs in their files, or `Inputs`."""
    if isinstance(x, Inputs) or (hasattr(x, "shape") and hasattr(x, "files")):
        return x
    if isinstance(x, Sequence) and not isinstance(x, str) and len(x) and all(map(_is_path, x)):
        return _photographs([Path(file) for file in x], shapes)
    parts = _by_name(x, shapes)
    return Inputs(parts) if len(shapes) > 1 else parts[next(iter(shapes))]


def _photographs(files: Sequence[Path], shapes: Mapping[str, tuple[int, ...]]) -> FolderImages:
    (shape, *others) = shapes.values()
    if others or len(shape) != 3 or shape[2] != 3:
        raise DataError(
            f"image files are for a network with one input [H, W, 3], this one has {dict(shapes)}"
        )
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise DataError(f"{missing[0]} is no file ({len(missing)} of {len(files)} are not)")
    return FolderImages(tuple(files), (int(shape[0]), int(shape[1])))


def _labels(y: Any) -> NDArray:
    labels = _array(y)
    flat = labels.ndim == 2 and labels.shape[1] == 1 and labels.dtype.kind in "ui"
    return labels.reshape(-1) if flat else labels


def _array(x: Any) -> NDArray:
    """Whatever NumPy takes, as numbers."""
    if isinstance(x, np.ndarray):
        array = x
    else:
        try:
            array = np.asarray(x.numpy() if hasattr(x, "numpy") else x)
        except Exception as error:  # what the object's own conversion raises
            raise DataError(f"expected {_TAKEN}; received {_told(x)}: {error}") from error
    if array.dtype.kind not in "uifb" or not array.ndim:
        raise DataError(f"expected {_TAKEN}; received {_told(x)}")
    return array


def _told(x: Any) -> str:
    shape = getattr(x, "shape", None)
    if shape is not None:
        return f"{type(x).__name__} of shape {tuple(shape)}"
    if isinstance(x, list | tuple):
        return f"a {type(x).__name__} of {len(x)}"
    return type(x).__name__


def shapes_of(model: Any) -> dict[str, tuple[int, ...]] | None:
    """Shapes of a Keras model's inputs without the batch axis, by name; None for what has none."""
    tensors = getattr(model, "inputs", None)
    if not tensors:
        return None
    shapes = {}
    for tensor in tensors:
        layer = getattr(tensor, "_keras_history", (None,))[0]
        name = getattr(layer, "name", None) or tensor.name.split(":")[0]
        shapes[name] = tuple(-1 if size is None else int(size) for size in tensor.shape[1:])
    return shapes
