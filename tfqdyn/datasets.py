"""Images with labels: `.npz` archives in Keras' names, folders of class subfolders, two by name.

Conventions
    Images are [N, H, W, C], uint8 or float; labels [N] integers from 0. Nothing is preprocessed
    on loading: `preprocess` scales a chunk when it is used, as `keras.applications` does.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.files.archives import ZIP_ERRORS, StoredArray, arrays_in, images_of
from tfqdyn.files.imagefiles import DataError as DataError
from tfqdyn.files.imagefiles import FolderImages
from tfqdyn.files.quoting import brief

LARGEST_LABEL = 999_999
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
_CAFFE_MEAN = np.array([103.939, 116.779, 123.68], np.float32)
_TORCH_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_TORCH_STD = np.array([0.229, 0.224, 0.225], np.float32)

PREPROCESSING: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "none": lambda x: x,
    "unit": lambda x: x / np.float32(255.0),
    "tf": lambda x: x / np.float32(127.5) - np.float32(1.0),
    "caffe": lambda x: x[..., ::-1] - _CAFFE_MEAN,
    "torch": lambda x: (x / np.float32(255.0) - _TORCH_MEAN) / _TORCH_STD,
}
"""By Keras' names: pixels as they are; to [0, 1]; to [-1, 1]; BGR less the ImageNet mean; to [0, 1]
then standardized by the ImageNet mean and deviation."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set; `x_train` is None where there are no training images.

    `named_classes` counts the classes where labels are positions among folder names. Image arrays
    support `len`, `shape` and indexing with an array of indices, and need not be in memory.
    """

    name: str
    x_test: Any
    y_test: NDArray[np.int64]
    x_train: Any = None
    y_train: NDArray[np.int64] | None = None
    named_classes: int | None = None

    @property
    def num_classes(self) -> int:
        """One more than the largest label."""
        labels = [self.y_test] if self.y_train is None else [self.y_test, self.y_train]
        return 1 + max(int(y.max()) for y in labels)


def load(source: str, image_size: tuple[int, int] | None = None) -> Dataset:
    """Loads a data set.

    Args:
        source: an `.npz` file with x_test, y_test and perhaps x_train, y_train; a folder with one
            subfolder a class (named 0, 1, ... or in alphabetical order); "cifar10" (from
            $TFQDYN_DATA_DIR/cifar10.npz, else Keras' download); or "digits".
        image_size: (height, width) that a folder's photographs are cropped and resized to, and
            that an archive's images must have.

    Raises:
        DataError: nothing such exists, or what is there is not a data set of this form.
    """
    if source in _NAMED:
        return _NAMED[source]()
    path = Path(source)
    if path.is_dir():
        return _from_folder(path, image_size)
    if path.suffix == ".npz" and path.is_file():
        return _from_npz(path, image_size)
    problem = "does not exist" if not path.exists() else "is neither an .npz file nor a folder"
    raise DataError(
        f"data {source!r} {problem}; give an .npz file, a folder of class subfolders, or one of "
        f"{sorted(_NAMED)}"
    )


def preprocess(images: NDArray, mode: str) -> NDArray[np.float32]:
    """Scales images [N, H, W, C] to what the network was trained on; see `PREPROCESSING`.

    Raises:
        DataError: an unknown mode, or one that needs three channels on other images.
    """
    if mode not in PREPROCESSING:
        raise DataError(f"preprocessing must be one of {sorted(PREPROCESSING)}, received {mode!r}")
    if mode in ("caffe", "torch") and images.shape[-1] != 3:
        raise DataError(f"preprocessing {mode!r} needs 3 channels, received {images.shape[-1]}")
    return PREPROCESSING[mode](np.asarray(images, np.float32))


def chunks(
    images: Any, indices: Sequence[int] | NDArray, size: int, mode: str
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64], list[bytes]]]:
    """Preprocessed chunks of exactly `size` images: (images, their indices, their digests).

    The last chunk is filled up with its last image; there are fewer indices than images then.

    Raises:
        DataError: a pixel is NaN or infinite, or does not fit float32.
    """
    indices = np.asarray(indices, np.int64)
    for start in range(0, len(indices), size):
        chosen = indices[start : start + size]
        raw = np.ascontiguousarray(images[chosen])
        digests = [hashlib.sha256(image).digest() for image in raw]
        with np.errstate(over="ignore"):  # told below, with the image
            batch = preprocess(raw, mode)
        if raw.dtype.kind == "f" and not np.isfinite(batch).all():
            first = next(i for i, image in enumerate(batch) if not np.isfinite(image).all())
            raise DataError(
                f"image {chosen[first]} holds NaN or infinity, or numbers beyond float32"
            )
        if len(batch) < size:
            batch = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])
        yield np.ascontiguousarray(batch), chosen, digests


def fingerprint(dataset: Dataset) -> dict[str, Any]:
    """What tells a data set from others: shapes, and SHA-256 of labels and images.

    Of images that stay in files, those of the files' names, sizes and times of modification.
    """
    return {
        "name": dataset.name,
        "x_test": _digest(dataset.x_test),
        "y_test": _digest(dataset.y_test),
        "x_train": None if dataset.x_train is None else _digest(dataset.x_train),
        "y_train": None if dataset.y_train is None else _digest(dataset.y_train),
    }


def _digest(array: Any) -> str:
    found = hashlib.sha256(repr(tuple(array.shape)).encode())
    for file in getattr(array, "files", ()):
        status = file.stat()
        found.update(repr((str(file.resolve()), status.st_size, status.st_mtime_ns)).encode())
    if not hasattr(array, "files"):
        found.update(array.dtype.str.encode())
        for start in range(0, len(array), _DIGESTED_AT_ONCE):
            part = array[np.arange(start, min(start + _DIGESTED_AT_ONCE, len(array)))]
            found.update(np.ascontiguousarray(part).tobytes())
    return found.hexdigest()


_DIGESTED_AT_ONCE = 256


def validate(dataset: Dataset, input_shape: tuple[int, ...], classes: int) -> None:
    """Checks a data set against a network before any slow work.

    Raises:
        DataError: no images, image shape or channel count, label count, or labels out of range.
    """
    if dataset.named_classes not in (None, classes):
        raise DataError(
            f"{dataset.name!r} has {dataset.named_classes} class folders, the model {classes} "
            "outputs; name the folders by their label numbers (0, 1, ...)"
        )
    splits: list[tuple[str, Any, Any]] = [("x_test", dataset.x_test, dataset.y_test)]
    if dataset.x_train is not None:
        splits.append(("x_train", dataset.x_train, dataset.y_train))
    for name, x, y in splits:
        if len(x) == 0:
            raise DataError(f"{name} of {dataset.name!r} holds no images")
        if tuple(x.shape[1:]) != tuple(input_shape):
            raise DataError(
                f"the model expects images {tuple(input_shape)}, {name} holds {tuple(x.shape[1:])}"
            )
        if y is None or len(y) != len(x):
            raise DataError(
                f"{name} holds {len(x)} images, but {0 if y is None else len(y)} labels came"
            )
        if y.min() < 0 or y.max() >= classes:
            raise DataError(
                f"labels must lie in 0..{classes - 1} (the model has {classes} outputs), "
                f"received {y.min()}..{y.max()} with {name}"
            )


_SPLITS = {"x_test": "y_test", "x_train": "y_train"}
"""Keras' names of images, and of their labels."""


def _from_npz(path: Path, image_size: tuple[int, int] | None) -> Dataset:
    try:
        stored, held = arrays_in(path, [*_SPLITS, *_SPLITS.values()])
        if not {"x_test", "y_test"} <= set(stored) or len(stored) % 2:
            raise DataError(
                f"{path} must hold x_test and y_test (and x_train with y_train, if any); it holds "
                f"{sorted(held)}"
            )
        splits = {x: y for x, y in _SPLITS.items() if x in stored}
        for x, y in splits.items():
            _check_split(path, stored[x], stored[y], image_size)
        arrays: dict[str, Any] = {}
        for x, y in splits.items():
            images = images_of(stored[x])
            arrays[x] = images[..., None] if images.ndim == 3 else images
            arrays[y] = _labels(stored[y].read())
    except DataError:
        raise
    except ZIP_ERRORS as error:
        raise DataError(f"{path} is not a readable .npz archive: {brief(error)}") from error
    return Dataset(path.stem, **arrays)


def _check_split(
    path: Path, x: StoredArray, y: StoredArray, image_size: tuple[int, int] | None
) -> None:
    """Checks images and labels by what the archive tells about them, before they are read."""
    if len(x.shape) not in (3, 4) or 0 in x.shape[1:]:
        raise DataError(
            f"{x.name} of {path} must be images [N, H, W, C], received {x.dtype} {x.shape}"
        )
    if len(y.shape) not in (1, 2) or y.shape[1:] not in ((), (1,)) or y.dtype.kind not in "ui":
        raise DataError(
            f"{y.name} of {path} must be integer labels [N], received {y.dtype} {y.shape}"
        )
    if len({x.shape[0], y.shape[0]}) > 1:
        raise DataError(
            f"{x.name} of {path} holds {x.shape[0]} images, but {y.shape[0]} labels came"
        )
    if image_size not in (None, x.shape[1:3]):
        raise DataError(
            f"the model expects images of {image_size}, {x.name} of {path} holds {x.shape[1:]}"
        )


def _labels(y: NDArray) -> NDArray[np.int64]:
    """Labels [N] or [N, 1] as [N]."""
    return y.reshape(-1).astype(np.int64)


def _from_folder(path: Path, image_size: tuple[int, int] | None) -> Dataset:
    if image_size is None:
        raise DataError(f"{path} is a folder of photographs: give the image_size to resize them to")
    classes = sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        raise DataError(f"{path} must hold one subfolder of images a class; it holds none")
    numbered = all(name.isdecimal() for name in classes)
    largest = max(classes, key=lambda name: int(name) if numbered else 0)
    if numbered and int(largest) > LARGEST_LABEL:
        raise DataError(f"{path / largest}: class numbers go up to {LARGEST_LABEL:,}")
    files: list[Path] = []
    labels: list[int] = []
    for position, name in enumerate(classes):
        found = sorted(f for f in (path / name).iterdir() if f.suffix.lower() in SUFFIXES)
        odd = [f for f in found if not f.is_file()]
        if odd:
            raise DataError(f"{odd[0]} is no file")
        files += found
        labels += [int(name) if numbered else position] * len(found)
    if not files:
        raise DataError(f"{path} holds no images; looked for {', '.join(SUFFIXES)}")
    images = FolderImages(tuple(files), image_size)
    named = None if numbered else len(classes)
    return Dataset(path.name, images, np.array(labels, np.int64), named_classes=named)


def _cifar10() -> Dataset:
    local = Path(os.environ.get("TFQDYN_DATA_DIR", "")) / "cifar10.npz"
    if "TFQDYN_DATA_DIR" in os.environ and local.is_file():
        return _from_npz(local, None)
    import keras  # the download needs it, the file above does not

    try:
        (x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
    except Exception as error:  # whatever the network raises
        raise DataError(
            f"cifar10 could not be downloaded ({error}); put cifar10.npz into a folder and name "
            "the folder in $TFQDYN_DATA_DIR"
        ) from error
    return Dataset("cifar10", x_test, _labels(y_test), x_train, _labels(y_train))


def _digits() -> Dataset:
    """scikit-learn's 1,797 digits as 32x32x3 uint8, every fifth one for testing."""
    from sklearn.datasets import load_digits  # only this data set needs it

    images, labels = load_digits(return_X_y=True)
    small = (images.reshape(-1, 8, 8) * (255.0 / 16.0)).round().astype(np.uint8)
    x = np.repeat(small.repeat(4, axis=1).repeat(4, axis=2)[..., None], 3, axis=-1)
    y = labels.astype(np.int64)
    test = np.arange(len(y)) % 5 == 4
    return Dataset("digits", x[test], y[test], x[~test], y[~test])


_NAMED: dict[str, Callable[[], Dataset]] = {"cifar10": _cifar10, "digits": _digits}
