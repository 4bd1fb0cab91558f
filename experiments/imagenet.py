"""The ImageNet-trained networks that the works analyze, and the photographs to do it with.

MobileNet-V1 and VGG-19 come from a file, or from what `keras.applications` downloads; photographs
from an archive or a folder that the user names. Where one is not to be had, the reason takes its
place in every table that asks for it.
"""

from dataclasses import dataclass

NETWORKS = ("mobilenet_v1", "vgg19")
PREPROCESSING = {"mobilenet_v1": "tf", "vgg19": "caffe"}
"""What the networks were trained on; Yun & Wong, section 6, footnote 7."""


@dataclass(frozen=True)
class ImageNet:
    """Where networks and photographs are; None where nothing was named.

    Attributes:
        data: an `.npz` archive or a folder, for `datasets.load`.
        mobilenet_v1: a `.keras` or `.h5` file; None downloads.
        vgg19: the same.
    """

    data: str | None = None
    mobilenet_v1: str | None = None
    vgg19: str | None = None
