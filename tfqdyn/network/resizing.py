"""Resizing of images in every way that TFLite has; Keras' own layers know one."""

from collections.abc import Sequence
from typing import Any

import keras

RESIZING = ("interpolation", "align_corners", "half_pixel_centers")
"""What defines a resizing, besides the size."""


def resized(
    images: Any,
    size: Sequence[int],
    interpolation: str,
    align_corners: bool = False,
    half_pixel_centers: bool = False,
) -> Any:
    """TensorFlow images [N, H, W, C] resized to `size`, (height, width).

    Args:
        images: float32.
        size: of the result.
        interpolation: "nearest" or "bilinear".
        align_corners: the centers of corner pixels stay in place.
        half_pixel_centers: pixels are squares whose centers lie at half numbers.
    """
    import tensorflow as tf  # heavy; only such networks need it

    resize = {
        "bilinear": tf.compat.v1.image.resize_bilinear,
        "nearest": tf.compat.v1.image.resize_nearest_neighbor,
    }[interpolation]
    return resize(
        images, list(size), align_corners=align_corners, half_pixel_centers=half_pixel_centers
    )


@keras.saving.register_keras_serializable("tfqdyn")
class Resize(keras.layers.Layer):
    """`resized` as a layer, on TensorFlow alone."""

    def __init__(self, size: Sequence[int], name: str | None = None, **how: Any) -> None:
        super().__init__(name=name, trainable=False)
        self.size, self.how = tuple(size), how

    def call(self, images: Any) -> Any:
        """Resizes images [N, H, W, C]."""
        return resized(images, self.size, **self.how)

    def compute_output_shape(self, input_shape: Sequence[Any]) -> tuple[Any, ...]:
        """The shape of resized images, from that of images."""
        return (input_shape[0], *self.size, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        return {"size": self.size, "name": self.name, **self.how}
