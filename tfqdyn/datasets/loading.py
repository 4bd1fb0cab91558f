"""Where data come from: archives, folders of images, files of records, two data sets by name."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.datasets import shards
from tfqdyn.datasets.given import with_class_numbers
from tfqdyn.datasets.records import Dataset, Inputs
from tfqdyn.files.archives import ZIP_ERRORS, StoredArray, arrays_in, images_of, names_in
from tfqdyn.files.imagefiles import DataError, FolderImages
from tfqdyn.files.quoting import brief

LARGEST_LABEL = 999_999
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")


def load(source: str, image_size: tuple[int, int] | None = None) -> Dataset:
    """Loads a data set.

    Args:
        source: an `.npz` file with x_test and, if there are, y_test, x_train and y_train; for a
            network with several inputs an array NAME for each (and NAME_train, if there is),
            NAME being the input's, instead of x_test; a folder with one subfolder per class
            (named 0, 1, ... or in alphabetical order), or a folder of images without labels;
            a TFRecord file of `tf.train.Example`, a Parquet file, or a folder of such files or of
            `.npz` files, those called train* being x_train (`shards`);
            "cifar10" (from $TFQDYN_DATA_DIR/cifar10.npz, else Keras' download); or "digits".
        image_size: (height, width) that a folder's photographs are cropped and resized to, and
            that an archive's images must have.

    Raises:
        DataError: nothing such exists, or what is there is not a data set of this form.
    """
    if source in _NAMED:
        return _NAMED[source]()
    path = Path(source).absolute()  # workers elsewhere have another current folder
    if shards.holds(path):
        return shards.load(path, image_size)
    if path.is_dir():
        return _from_folder(path, image_size)
    if path.suffix == ".npz" and path.is_file():
        return with_class_numbers(_from_npz(path, image_size))
    problem = "does not exist" if not path.exists() else "is neither an .npz file nor a folder"
    raise DataError(
        f"data {source!r} {problem}; give an .npz, .tfrecord or .parquet file, a folder of class "
        f"subfolders or of such files, or one of {sorted(_NAMED)}"
    )


_LABELS = {"test": "y_test", "train": "y_train"}
"""Keras' names of labels, by split."""


def _from_npz(path: Path, image_size: tuple[int, int] | None) -> Dataset:
    try:
        places = _places(names_in(path))
        stored, held = arrays_in(path, list(places))
        arrays: dict[str, dict[str, Any]] = {"test": {}, "train": {}}
        labels: dict[str, NDArray | None] = {"test": None, "train": None}
        for key, (split, name) in places.items():
            if name is not None:
                _check_samples(path, stored[key], image_size)
                arrays[split][name] = stored[key]
        if not arrays["test"]:
            raise DataError(
                f"{path} must hold x_test (and y_test, if there are labels), or an array [N, ...] "
                f"for each input by the input's name; it holds {sorted(held)}"
            )
        for split, key in _LABELS.items():
            if key in stored and arrays[split]:
                _check_labels(path, stored[key], arrays[split])
                labels[split] = _labels(stored[key].read())
        loaded = {
            split: {name: _loaded(name, array) for name, array in found.items()}
            for split, found in arrays.items()
        }
    except DataError:
        raise
    except ZIP_ERRORS as error:
        raise DataError(f"{path} is not a readable .npz archive: {brief(error)}") from error
    test, train = (_as_given(loaded[split]) for split in ("test", "train"))
    return Dataset(path.stem, test, labels["test"], train, labels["train"])


_ALONE = "x"
"""What Keras calls the only input."""


def _places(held: Sequence[str]) -> dict[str, tuple[str, str | None]]:
    """For every array of an archive its split, and the input that it is for; None for labels.

    "x_test" and "x_train" are of the only input, and nothing else counts beside "x_test". Else
    "NAME" and "NAME_test" are data of the input NAME, and "NAME_train" what calibrates.
    """
    found: dict[str, tuple[str, str | None]] = {
        key: (split, None) for split, key in _LABELS.items() if key in held
    }
    if "x_test" in held:
        alone = {f"{_ALONE}_{split}": (split, _ALONE) for split in _LABELS}
        return {key: place for key, place in alone.items() if key in held} | found
    for key in held:
        if key not in found:
            split = "train" if key.endswith("_train") else "test"
            found[key] = (split, key.removesuffix(f"_{split}"))
    return found


def _loaded(name: str, stored: StoredArray) -> Any:
    """Samples as they are stored; gray images of the only input get their axis of channels."""
    array = images_of(stored)
    gray = name == _ALONE and len(array.shape) == 3
    return array.reshape(*array.shape, 1) if gray else array


def _as_given(arrays: dict[str, Any]) -> Any:
    """The only input's array, `Inputs` of several, or None of none."""
    if not arrays:
        return None
    return arrays[_ALONE] if set(arrays) == {_ALONE} else Inputs(arrays)


def _check_samples(path: Path, x: StoredArray, image_size: tuple[int, int] | None) -> None:
    """Checks data by what the archive tells about them, before they are read."""
    if len(x.shape) < 2 or 0 in x.shape[1:]:
        raise DataError(
            f"{x.name} of {path} must be images [N, H, W, C], or vectors or other arrays [N, ...], "
            f"received {x.dtype} {x.shape}"
        )
    if x.name == f"{_ALONE}_test" and image_size not in (None, x.shape[1:3]):
        raise DataError(
            f"the model expects images of {image_size}, {x.name} of {path} holds {x.shape[1:]}"
        )


def _check_labels(path: Path, y: StoredArray, arrays: dict[str, StoredArray]) -> None:
    samples = next(iter(arrays.values()))
    if y.shape[:1] != samples.shape[:1]:
        came = y.shape[0] if y.shape else "no"
        raise DataError(
            f"{samples.name} of {path} holds {samples.shape[0]} images, but {came} labels came"
        )


def _labels(y: NDArray) -> NDArray:
    """Labels as they are stored, [N, 1] as [N], integers as int64.

    Raises:
        DataError: a label is NaN or infinite.
    """
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise DataError("labels must be finite numbers, received NaN or infinity")
    flat = y.reshape(-1) if y.shape[1:] == (1,) else y
    return flat.astype(np.int64) if y.dtype.kind in "ui" else flat


def _from_folder(path: Path, image_size: tuple[int, int] | None) -> Dataset:
    if image_size is None:
        raise DataError(f"{path} is a folder of photographs: give the image_size to resize them to")
    classes = sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        return Dataset(path.name, FolderImages(tuple(_images_in(path)), image_size))
    numbered = all(name.isdecimal() for name in classes)
    largest = max(classes, key=lambda name: int(name) if numbered else 0)
    if numbered and int(largest) > LARGEST_LABEL:
        raise DataError(f"{path / largest}: class numbers go up to {LARGEST_LABEL:,}")
    files: list[Path] = []
    labels: list[int] = []
    for position, name in enumerate(classes):
        found = _photographs(path / name)
        files += found
        labels += [int(name) if numbered else position] * len(found)
    if not files:
        raise DataError(f"{path} holds no images; looked for {', '.join(SUFFIXES)}")
    images = FolderImages(tuple(files), image_size)
    named = None if numbered else len(classes)
    return Dataset(path.name, images, np.array(labels, np.int64), named_classes=named)


def _photographs(folder: Path) -> list[Path]:
    """The images that lie in a folder."""
    found = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES)
    odd = [f for f in found if not f.is_file()]
    if odd:
        raise DataError(f"{odd[0]} is no file")
    return found


def _images_in(folder: Path) -> list[Path]:
    """The images of a folder without class subfolders.

    Raises:
        DataError: there are none.
    """
    found = _photographs(folder)
    if not found:
        raise DataError(
            f"{folder} must hold one subfolder of images per class, or images without labels; it "
            "holds none"
        )
    return found


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
