"""Random changes of training images, drawn by seed and made on the processor that feeds them.

Pixels that move in from outside repeat the border, values between pixels are bilinear. As with the
layers `RandomRotation`, `RandomTranslation`, `RandomZoom` and `RandomFlip` of Keras one behind the
other, each change resamples what the one before it made; parameters are drawn per image, uniformly.
"""

import numpy as np
from numpy.typing import NDArray

from tfqdyn.numerics.compilation import EXACT, compiled
from tfqdyn.training.recipes import Augmentation


def augment(
    images: NDArray[np.float32], augmentation: Augmentation, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Changes every image at random.

    Args:
        images: [N, H, W, C].
        augmentation: Kinds and magnitudes.
        rng: Where the changes are drawn from.

    Returns:
        New images, [N, H, W, C].
    """
    count, height, width, _ = images.shape
    maps = affine_maps(augmentation, rng, count, height, width)
    flips = rng.random((count, 2)) < (0.5 if augmentation.flips else 0.0)
    return transform(np.ascontiguousarray(images), maps, flips)


def affine_maps(
    augmentation: Augmentation, rng: np.random.Generator, count: int, height: int, width: int
) -> NDArray[np.float32]:
    """Draws the changes that resample, in their order: rotation, shift, zoom.

    Returns:
        [N, changes, 6]: the pixel of row y and column x comes from column `a x + b y + c` and row
        `d x + e y + f` of the image before it.
    """
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    maps = []
    if augmentation.rotation:
        angle = np.deg2rad(_between(rng, augmentation.rotation, count))
        cosine, sine = np.cos(angle), np.sin(angle)
        maps.append(_about(middle, cosine, -sine, sine, cosine))
    if augmentation.shift:
        shift = _between(rng, augmentation.shift, (count, 2)) * (width, height)
        maps.append(_about(middle, *np.tile([[1.0], [0], [0], [1]], count)))
        maps[-1][:, (2, 5)] -= shift
    if augmentation.zoom:
        zoom = 1 + _between(rng, augmentation.zoom, (count, 2))
        nothing = np.zeros(count)
        maps.append(_about(middle, zoom[:, 0], nothing, nothing, zoom[:, 1]))
    drawn = np.stack(maps, axis=1) if maps else np.zeros((count, 0, 6))
    return drawn.astype(np.float32)


def _between(
    rng: np.random.Generator, largest: float, shape: int | tuple[int, ...]
) -> NDArray[np.float64]:
    return rng.uniform(-largest, largest, shape)


def _about(middle: NDArray, a: NDArray, b: NDArray, d: NDArray, e: NDArray) -> NDArray[np.float64]:
    """The linear maps about the middle pixel, [N, 6]."""
    x, y = middle
    return np.stack([a, b, x - a * x - b * y, d, e, y - d * x - e * y], axis=-1)


@compiled(**EXACT)
def transform(images, maps, flips):  # [N, H, W, C] fp32, [N, changes, 6] fp32, [N, 2] bool
    """Applies maps, then flips (left-right, up-down); returns new images [N, H, W, C]."""
    count, height, width, channels = images.shape
    changed = np.empty_like(images)
    buffers = np.empty((2, height, width, channels), images.dtype)
    for n in range(count):
        source = images[n]
        for place in range(maps.shape[1]):
            target = buffers[place % 2]
            _resample(source.ravel(), maps[n, place], target.ravel(), source.shape)
            source = target
        for y in range(height):
            row = height - 1 - y if flips[n, 1] else y
            for x in range(width):
                column = width - 1 - x if flips[n, 0] else x
                for k in range(channels):
                    changed[n, y, x, k] = source[row, column, k]
    return changed


@compiled(**EXACT)
def _resample(source, affine, target, shape):  # [H W C], [6], [H W C], (H, W, C)
    height, width, channels = np.int32(shape[0]), np.int32(shape[1]), np.int32(shape[2])
    zero, last_x, last_y = np.float32(0), np.float32(width - 1), np.float32(height - 1)
    a, b, c, d, e, f = affine
    written = np.uint32(0)  # unsigned: Numba then checks for no negative indices
    for y in range(height):
        row_u, row_v = b * np.float32(y) + c, e * np.float32(y) + f
        for x in range(width):
            u = min(max(a * np.float32(x) + row_u, zero), last_x)
            v = min(max(d * np.float32(x) + row_v, zero), last_y)
            left, top = np.int32(u), np.int32(v)
            across, down = u - np.float32(left), v - np.float32(top)
            first = np.uint32((top * width + left) * channels)
            right = np.uint32(channels if left < width - 1 else 0)
            below = np.uint32(width * channels if top < height - 1 else 0)
            for _ in range(channels):
                upper, lower = source[first], source[first + below]
                upper += across * (source[first + right] - upper)
                lower += across * (source[first + below + right] - lower)
                target[written] = upper + down * (lower - upper)
                written += np.uint32(1)
                first += np.uint32(1)
