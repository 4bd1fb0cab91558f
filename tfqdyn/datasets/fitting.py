"""A data set held against a network, before any slow work."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tfqdyn.datasets.batches import by_input
from tfqdyn.datasets.records import Dataset, Inputs
from tfqdyn.files.imagefiles import DataError


def fitted(dataset: Dataset, shapes: Mapping[str, tuple[int, ...]]) -> Dataset:
    """The data set with its arrays under the names, and in the shapes, of a network's inputs.

    An array whose samples differ from what the network expects by a last axis of size 1 alone
    (spectrograms [N, T, F] for an input [T, F, 1], or the reverse) is taken in the network's shape.

    Args:
        dataset: data with or without labels.
        shapes: for every input of the network, by its name, its shape without the batch axis.

    Returns:
        Arrays for a network with one input, `Inputs` in the order of `shapes` for several.

    Raises:
        DataError: no samples, another shape, an input without data, or another number of labels.
    """
    splits = {"x_test": _split(dataset, "x_test", shapes)}
    if dataset.x_train is not None:
        splits["x_train"] = _split(dataset, "x_train", shapes)
    for name, labels in (("x_test", dataset.y_test), ("x_train", dataset.y_train)):
        if name in splits and labels is not None and len(labels) != len(splits[name]):
            raise DataError(
                f"{name} holds {len(splits[name])} images, but {len(labels)} labels came"
            )
    return replace(dataset, **splits)


def _split(dataset: Dataset, split: str, shapes: Mapping[str, tuple[int, ...]]) -> Any:
    """The arrays of "x_test" or "x_train" as the network takes them."""
    held = getattr(dataset, split)
    if not isinstance(held, Inputs) and len(shapes) > 1:
        raise DataError(
            f"the model has {len(shapes)} inputs ({', '.join(shapes)}), {split} of "
            f"{dataset.name!r} is one array; give an array for each input by the input's name"
        )
    if isinstance(held, Inputs):
        missing = [name for name in shapes if name not in held.arrays]
        if missing:
            raise DataError(
                f"{split} of {dataset.name!r} has no array for {', '.join(missing)}; the model's "
                f"inputs are {', '.join(shapes)}, the arrays {', '.join(held.arrays)}"
            )
    arrays = by_input(list(shapes), held)
    counts = {name: len(array) for name, array in arrays.items()}
    if 0 in counts.values():
        raise DataError(f"{split} of {dataset.name!r} holds no images")
    if len(set(counts.values())) > 1:
        raise DataError(
            f"the inputs of {split} must hold as many samples each, {dataset.name!r} has {counts}"
        )
    for name, array in arrays.items():
        of = f" for input {name!r}" if len(shapes) > 1 else ""
        arrays[name] = _shaped(array, tuple(map(int, shapes[name])), split, of)
    return arrays[next(iter(shapes))] if len(shapes) == 1 else Inputs(arrays)


def _shaped(array: Any, shape: tuple[int, ...], split: str, of: str) -> Any:
    """An array in the network's shape, if it is that but for a last axis of size 1."""
    own = tuple(array.shape[1:])
    if own == shape:
        return array
    if own in ((*shape, 1), shape[:-1] if shape[-1:] == (1,) else None):
        return array.reshape(len(array), *shape)
    raise DataError(f"the model expects images {shape}{of}, {split} holds {own}")


def check_classes(dataset: Dataset, classes: int) -> None:
    """Checks labels of classes, where there are any, against a network.

    Raises:
        DataError: labels that are no integers, or out of range.
    """
    if dataset.named_classes not in (None, classes):
        raise DataError(
            f"{dataset.name!r} has {dataset.named_classes} class folders, the model {classes} "
            "outputs; name the folders by their label numbers (0, 1, ...)"
        )
    for name, y in (("x_test", dataset.y_test), ("x_train", dataset.y_train)):
        if y is None:
            continue
        if y.dtype.kind not in "ui":
            raise DataError(f"labels of classes must be integers, {name} came with {y.dtype}")
        if y.min() < 0 or y.max() >= classes:
            raise DataError(
                f"labels must lie in 0..{classes - 1} (the model has {classes} outputs), "
                f"received {y.min()}..{y.max()} with {name}"
            )


def validate(dataset: Dataset, input_shape: tuple[int, ...], classes: int) -> None:
    """Checks a labeled data set against a classifier with one input before any slow work.

    Raises:
        DataError: no images, image shape or channel count, label count, or labels out of range.
    """
    check = fitted(dataset, {"input": input_shape})
    for name in ("x_test", "x_train"):
        given = getattr(dataset, name)
        if given is not None and tuple(given.shape[1:]) != tuple(input_shape):
            raise DataError(
                f"the model expects images {tuple(input_shape)}, {name} holds "
                f"{tuple(given.shape[1:])}"
            )
        if given is not None and getattr(dataset, name.replace("x", "y")) is None:
            raise DataError(f"{name} holds {len(given)} images, but 0 labels came")
    check_classes(check, classes)
