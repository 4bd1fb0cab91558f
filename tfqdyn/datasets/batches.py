"""Chunks of data on their way to a network: preprocessed, padded to one size, digested."""

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfqdyn.datasets.records import Dataset, Inputs
from tfqdyn.files.imagefiles import DataError
from tfqdyn.files.usercode import UserCodeError, function_named

Batch = NDArray[np.float32] | Inputs
"""Preprocessed samples: [N, ...] of a network with one input, else the `Inputs` of such arrays."""
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


KERAS_NAMES: Mapping[str, str] = {
    **dict.fromkeys(
        ("inception_resnet_v2", "inception_v3", "mobilenet", "mobilenet_v2", "nasnet", "resnet_v2",
         "xception"), "tf",
    ),
    **dict.fromkeys(("resnet", "resnet50", "vgg16", "vgg19"), "caffe"),
    "densenet": "torch",
    **dict.fromkeys(("convnext", "efficientnet", "efficientnet_v2", "mobilenet_v3"), "none"),
}  # fmt: skip
"""What `preprocess_input` of a module of `keras.applications` does; some of its networks scale
pixels themselves."""


def mode_named(text: str) -> str:
    """The mode of `PREPROCESSING` that a text names; of any other the text.

    `keras.applications.mobilenet_v2.preprocess_input`, and its ends, name the mode that this
    function has; "package.module:function" stays the user's own.
    """
    if text in PREPROCESSING or ":" in text:
        return text
    parts = text.split(".")
    if parts[-1] == "preprocess_input":
        parts.pop()
    prefix = ["tf", "keras", "applications"]
    known = bool(parts) and parts[:-1] in [prefix[k:] for k in range(len(prefix) + 1)]
    return KERAS_NAMES.get(parts[-1], text) if known else text


def preprocess(images: NDArray, mode: str) -> NDArray[np.float32]:
    """Scales images [N, H, W, C] to what the network was trained on.

    Args:
        images: a chunk, as it was loaded.
        mode: one of `PREPROCESSING`, or "package.module:function", the user's own: it is called
            with float32 images and gives as many of the same shape.

    Raises:
        DataError: an unknown mode, one that needs three channels on other images, or a function of
            the user's that fails or gives something else.
    """
    if ":" in mode:
        return _by_user(images, mode)
    if mode not in PREPROCESSING:
        raise DataError(f"preprocessing must be one of {sorted(PREPROCESSING)}, received {mode!r}")
    if mode in ("caffe", "torch") and images.shape[-1] != 3:
        raise DataError(f"preprocessing {mode!r} needs 3 channels, received {images.shape[-1]}")
    return PREPROCESSING[mode](np.asarray(images, np.float32))


def _by_user(images: NDArray, mode: str) -> NDArray[np.float32]:
    function = _users(mode)
    given = np.asarray(images, np.float32)
    try:
        scaled = np.asarray(function(given.copy()))
    except Exception as error:  # whatever the user's function raises
        raise DataError(
            f"--preprocessing={mode} fails on images {given.shape}: {type(error).__name__}: {error}"
        ) from error
    if scaled.shape != given.shape or scaled.dtype.kind not in "fiu":
        raise DataError(
            f"--preprocessing={mode} must give numbers of the images' shape {given.shape}, it gave "
            f"{scaled.dtype} {scaled.shape}"
        )
    return scaled.astype(np.float32)


@functools.cache
def _users(mode: str) -> Callable[[NDArray], Any]:
    example = "my_data:scale for the function scale of my_data.py in this folder"
    try:
        return function_named(mode, "preprocessing", example)
    except UserCodeError as error:
        raise DataError(str(error)) from error


def by_input(names: Sequence[str], batch: Any) -> dict[str, Any]:
    """The arrays of a batch (or of a whole data set) by the names of a network's inputs."""
    if isinstance(batch, Inputs):
        return {name: batch.arrays[name] for name in names}
    (name,) = names
    return {name: batch}


def chunks(
    images: Any, indices: Sequence[int] | NDArray, size: int, mode: str
) -> Iterator[tuple[Any, NDArray[np.int64], list[bytes]]]:
    """Preprocessed chunks of exactly `size` samples: (a `Batch`, their indices, their digests).

    The last chunk is filled up with its last sample; there are fewer indices than samples then.
    Of `Inputs`, `mode` is applied to those that are images, [N, H, W, C].

    Raises:
        DataError: a value is NaN or infinite, or does not fit float32.
    """
    indices = np.asarray(indices, np.int64)
    for start in range(0, len(indices), size):
        chosen = indices[start : start + size]
        if not isinstance(images, Inputs):
            yield _chunk(images, chosen, size, mode)
            continue
        parts: dict[str, NDArray[np.float32]] = {}
        told = [hashlib.sha256() for _ in chosen]
        for name, array in images.arrays.items():
            own = mode if len(array.shape) == 4 else "none"
            parts[name], _, digests = _chunk(array, chosen, size, own, f" of input {name!r}")
            for sample, digest in zip(told, digests, strict=True):
                sample.update(digest)
        yield Inputs(parts), chosen, [sample.digest() for sample in told]


def _chunk(
    images: Any, chosen: NDArray[np.int64], size: int, mode: str, of: str = ""
) -> tuple[NDArray[np.float32], NDArray[np.int64], list[bytes]]:
    raw = np.ascontiguousarray(images[chosen])
    digests = [hashlib.sha256(image).digest() for image in raw]
    with np.errstate(over="ignore"):  # told below, with the image
        batch = preprocess(raw, mode)
    if raw.dtype.kind == "f" and not np.isfinite(batch).all():
        first = next(i for i, image in enumerate(batch) if not np.isfinite(image).all())
        raise DataError(
            f"image {chosen[first]}{of} holds NaN or infinity, or numbers beyond float32"
        )
    if len(batch) < size:
        batch = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])
    return np.ascontiguousarray(batch), chosen, digests


def fingerprint(dataset: Dataset) -> dict[str, Any]:
    """What tells a data set from others: shapes, and SHA-256 of labels and data.

    Of data that stay in files, those of the files' names, sizes and times of modification.
    """
    return {
        "name": dataset.name,
        "x_test": _digest(dataset.x_test),
        "y_test": _digest(dataset.y_test),
        "x_train": _digest(dataset.x_train),
        "y_train": _digest(dataset.y_train),
    }


def _digest(array: Any) -> Any:
    if array is None:
        return None
    if isinstance(array, Inputs):
        return {name: _digest(part) for name, part in array.arrays.items()}
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
