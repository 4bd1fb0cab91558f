"""The ImageNet-trained networks that the works analyze, and the photographs to do it with.

MobileNet-V1 and VGG-19 come from a file, or from what `keras.applications` downloads; photographs
from an archive or a folder that the user names. Where one is not to be had, the reason takes its
place in every table that asks for it. What is there is known by its SHA-256, so that results stay
where they are when files move.
"""

import dataclasses
import functools
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from experiments.engine.image_sets import known
from tfqdyn import datasets
from tfqdyn.datasets import Dataset

NETWORKS = ("mobilenet_v1", "vgg19")
PREPROCESSING = {"mobilenet_v1": "tf", "vgg19": "caffe"}
"""What the networks were trained on; Yun & Wong, section 6, footnote 7."""
SHOWN = {"mobilenet_v1": "MobileNet-V1-1.0-224", "vgg19": "VGG-19"}
"""The works' names of the networks (Yun & Wong, Table 2)."""
FAMILIES = {"mobilenet_v1": "MobileNet", "vgg19": "VGG-19"}
"""See `display.FAMILIES`."""
CLASSES = 1000
CALIBRATING_SHARE = 0.5
IMAGE_SIZE = (224, 224)
"""Height and width of the photographs, in pixels."""


@dataclass(frozen=True)
class ImageNet:
    """Where networks and photographs are; None where nothing was named.

    Attributes:
        data: an `.npz` archive or a folder, for `datasets.load`.
        mobilenet_v1: a `.keras` or `.h5` file; None downloads.
        vgg19: the same.

    Raises:
        ValueError: a path was named where nothing is.
    """

    data: str | None = None
    mobilenet_v1: str | None = None
    vgg19: str | None = None

    def __post_init__(self) -> None:
        flags = {"imagenet_data": self.data, "mobilenet_v1": self.mobilenet_v1, "vgg19": self.vgg19}
        gone = [f"--{flag}={p}" for flag, p in flags.items() if p and not Path(p).exists()]
        if gone:
            raise ValueError(f"nothing is there: {', '.join(gone)}; name what exists, or leave out")


@dataclass(frozen=True)
class NetworkFile:
    """A trained network.

    Attributes:
        arch: one of `NETWORKS`.
        sha256: of the file; of the weights where it is Keras' download.
        path: the file; None for Keras' download.
    """

    arch: str
    sha256: str
    path: str | None = field(compare=False)

    def load(self) -> Any:
        """The Keras model.

        Raises:
            ModelFileError, UnsupportedModelError: see `modelfile.load`.
        """
        if self.path is None:
            return _downloaded(self.arch)
        from tfqdyn.network import modelfile

        return modelfile.load(self.path)


@dataclass(frozen=True)
class Photographs:
    """Labelled images.

    Attributes:
        sha256: of the archive, or of all files of the folder.
        path: the archive or folder.
    """

    sha256: str
    path: str = field(compare=False)

    def load(self) -> Dataset:
        """The images, [N, 224, 224, 3] uint8, with Keras' class numbers; read once a process.

        Where there are no training images, `CALIBRATING_SHARE` of the photographs stand in for
        them, always the same ones: all draws score the same others.

        Raises:
            DataError: see `datasets.load`.
        """
        return _loaded(self.path)


@dataclass(frozen=True)
class Missing:
    """What is not to be had, and why."""

    reason: str


def build(arch: str, weights: str | None) -> Any:
    """A network as Keras builds it, with the weights that it names, or as training begins."""
    from keras import applications

    builders = {"mobilenet_v1": applications.MobileNet, "vgg19": applications.VGG19}
    return builders[arch](weights=weights)


def network(arch: str, where: ImageNet) -> NetworkFile | Missing:
    """A network: the file that was named, else Keras' download in a try.

    Args:
        arch: one of `NETWORKS`.
        where: the files.
    """
    path = getattr(where, arch)
    if path is not None:
        return NetworkFile(arch, digest(Path(path)), path)
    return _download(arch)


def photographs(where: ImageNet) -> Photographs | Missing:
    """The photographs that were named."""
    if where.data is None:
        return Missing("no photographs (--imagenet_data)")
    return Photographs(digest(Path(where.data)), where.data)


@functools.cache
def digest(path: Path) -> str:
    """SHA-256 of a file, or of all files below a folder with their names; once a process."""
    found = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        if path.is_dir():
            found.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(2**20):
                found.update(block)
    return found.hexdigest()


@functools.cache
def class_names() -> tuple[str, ...] | None:
    """Names of ImageNet's classes in Keras' order; None where Keras cannot download them."""
    from keras.applications import imagenet_utils

    try:
        best = imagenet_utils.decode_predictions(np.eye(CLASSES), top=1)
    except Exception:  # whatever the network raises
        return None
    return tuple(name.replace("_", " ") for ((_, name, _),) in best)


@functools.cache
def _download(arch: str) -> NetworkFile | Missing:
    try:
        weights = _downloaded(arch).get_weights()
    except Exception as error:  # whatever the network raises
        said = str(error).rsplit(" -- ", 1)[-1]  # Keras begins with the URL
        return Missing(f"no file (--{arch}), and Keras' download failed ({said})")
    found = hashlib.sha256()
    for array in weights:
        found.update(np.ascontiguousarray(array).tobytes())
    return NetworkFile(arch, found.hexdigest(), None)


def _downloaded(arch: str) -> Any:
    return build(arch, "imagenet")


@functools.lru_cache(maxsize=1)
def _loaded(path: str) -> Dataset:
    return split(datasets.load(path, image_size=IMAGE_SIZE))


def split(data: Dataset) -> Dataset:
    """The data with a share of their test images, drawn once and for all, to calibrate on."""
    if data.x_train is not None or len(data.x_test) < 2:
        return data
    order = np.random.default_rng(0).permutation(len(data.x_test))
    kept = max(1, int(len(order) * CALIBRATING_SHARE))
    calibrating, scored = np.sort(order[:kept]), np.sort(order[kept:])
    return dataclasses.replace(
        data,
        x_train=data.x_test[calibrating],
        y_train=known(data.y_test)[calibrating],
        x_test=data.x_test[scored],
        y_test=known(data.y_test)[scored],
    )
