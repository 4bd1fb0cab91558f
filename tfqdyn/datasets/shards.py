"""A data set in one or many files of records: TFRecord, Parquet, or `.npz` archives.

Samples stay in the files until they are indexed, so memory does not grow with their number. Files
of a folder are taken in the order of their names; those whose names begin with "train" are x_train
where there are others, all others x_test.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.datasets import parquet
from tfqdyn.datasets.records import Dataset
from tfqdyn.files.archives import ZIP_ERRORS, arrays_in, images_of
from tfqdyn.files.filearray import FileArray
from tfqdyn.files.imagefiles import DataError
from tfqdyn.files.joined import Joined
from tfqdyn.files.quoting import brief

Size = tuple[int, int] | None
Shard = tuple[FileArray, NDArray | None, tuple[str, ...]]
"""Samples, labels, and of samples of several files the names of the labels' features."""
IMAGENET_CLASSES = 1000
FROM_ONE = "image/class/label"
"""The feature of TFRecord files that ImageNet's conversion counts from 1: 0 is the background."""
_NUMBERED = re.compile(r"-\d{5}-of-\d{5}$")
"""How TFRecord files are called that have no suffix, ImageNet's among them."""


def _from_examples(path: Path, size: Size) -> Shard:
    from tfqdyn.datasets import examples  # loads Numba

    records = examples.read_records(path)
    return examples.ExampleSamples(records, size), records.labels, ()


def _from_parquet(path: Path, size: Size) -> Shard:
    return parquet.ParquetSamples(path, size), parquet.labels_in(path), ()


def _from_archive(path: Path, size: Size) -> Shard:
    try:
        stored, held = arrays_in(path, ["x_test", "y_test"])
        if "x_test" not in stored:
            raise DataError(f"{path} must hold x_test, it holds {sorted(held)}")
        x = stored["x_test"]
        if x.start is None or x.fortran_order or len(x.shape) < 2:
            raise DataError(
                f"x_test of {path} must be [N, ...] numbers that can be read sample by sample; it "
                f"is {x.dtype} {x.shape}, compressed or in Fortran order: write the files of a "
                "folder with np.savez, not np.savez_compressed"
            )
        labels = stored["y_test"].read() if "y_test" in stored else None
        images: Any = images_of(x)
    except DataError:
        raise
    except ZIP_ERRORS as error:
        raise DataError(f"{path} is not a readable .npz archive: {brief(error)}") from error
    if labels is not None and labels.shape[1:] == (1,):
        labels = labels.reshape(-1)
    if labels is not None and labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise DataError(f"y_test of {path} holds labels that are NaN or infinite")
    if labels is not None and labels.dtype.kind in "ui":
        labels = labels.astype(np.int64)
    return images, labels, ()


_READERS: Mapping[str, Callable[[Path, Size], Shard]] = {
    ".tfrecord": _from_examples,
    ".tfrecords": _from_examples,
    ".parquet": _from_parquet,
    ".npz": _from_archive,
}


def _suffix(path: Path) -> str | None:
    """The kind of a file, by its name."""
    if _NUMBERED.search(path.name):
        return ".tfrecord"
    suffix = path.suffix.lower()
    return suffix if suffix in _READERS else None


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(f for f in path.iterdir() if f.is_file() and not f.name.startswith((".", "_")))


def holds(path: Path) -> bool:
    """Whether a file, or a folder, is a data set of this kind; single `.npz` files are not."""
    if path.is_dir():
        folders = any(f.is_dir() and not f.name.startswith(".") for f in path.iterdir())
        return not folders and any(_suffix(file) for file in _files(path))
    return path.is_file() and _suffix(path) not in (None, ".npz")


def load(path: Path, image_size: Size) -> Dataset:
    """The data set of a file or of a folder.

    Args:
        path: for which `holds`.
        image_size: (height, width) that photographs are cropped and resized to.

    Raises:
        DataError: files of several kinds, or a file that is not readable or fits no other.
    """
    files = [file for file in _files(path) if _suffix(file)]
    kinds = {_READERS[str(_suffix(file))] for file in files}
    if len(kinds) > 1:
        raise DataError(
            f"{path} holds files of several kinds ({files[0].name}, {files[-1].name}); a data set "
            "has one"
        )
    (reader,) = kinds
    train = [file for file in files if file.name.startswith("train")]
    test = [file for file in files if file not in train] or train
    x_test, y_test, features = _joined(test, reader, image_size)
    if test is train or not train:
        return _from_zero(Dataset(path.stem, x_test, y_test), features)
    x_train, y_train, more = _joined(train, reader, image_size)
    return _from_zero(Dataset(path.stem, x_test, y_test, x_train, y_train), {*features, *more})


def _joined(files: Sequence[Path], reader: Callable[[Path, Size], Shard], size: Size) -> Shard:
    """The samples of all files, one after the other."""
    shards = [reader(file, size) for file in files]
    labeled = [labels for _, labels, _ in shards if labels is not None]
    if labeled and len(labeled) < len(shards):
        bare = next(file for file, shard in zip(files, shards) if shard[1] is None)
        raise DataError(f"{bare} holds no labels, other files of the data set do")
    for file, (images, labels, _) in zip(files, shards, strict=True):
        if labels is not None and len(labels) != len(images):
            raise DataError(f"{file} holds {len(images)} samples, but {len(labels)} labels")
    images = [images for images, _, _ in shards]
    found = images[0] if len(images) == 1 else Joined(images, files)
    if not labeled:
        return found, None, ()
    features = tuple({str(getattr(image, "label", "")) for image in images})
    return found, np.concatenate(labeled), features


def _from_zero(dataset: Dataset, features: Collection[str]) -> Dataset:
    """The data set with labels from 0 where they count from 1, by ImageNet's feature and classes.

    Args:
        dataset: with labels as they are stored.
        features: that they are stored under; "" of other files.
    """
    named = {"y_test": dataset.y_test, "y_train": dataset.y_train}
    known = {name: y for name, y in named.items() if y is not None}
    if set(features) != {FROM_ONE} or not known:
        return dataset
    lowest, highest = min(y.min() for y in known.values()), max(y.max() for y in known.values())
    if lowest < 1 or highest != IMAGENET_CLASSES:
        return dataset
    less = {name: y - 1 for name, y in known.items()}
    note = (
        f"Labels ({FROM_ONE}) count from 1, as ImageNet's TFRecord files do, whose class 0 is the "
        "background: they were taken less 1."
    )
    return replace(dataset, **less, notes=(note,))
