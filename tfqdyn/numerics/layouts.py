"""Kernel layouts: which axis of which kernel is what, and one form in which all kernels are alike.

Glossary of shapes
    H, W height and width of a kernel; G groups of channels; I input channels of a group; K output
    channels. A layout has a letter for each axis of an array. Where it has a G, its K counts the
    output channels of one group, and channels in all are counted by both, G the slower; otherwise
    K counts all of them. An axis that is missing has size 1.

The form in common is [H, W, I, K], K all output channels: a dense layer there is the 1x1
convolution, and a depthwise one the convolution of as many groups as channels, that compute the
same. `grouped` splits it by groups, [G, H, W, I, K / G].
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Layout:
    """The axes of a kernel, a letter each."""

    axes: str

    @property
    def channel_axes(self) -> tuple[int, ...]:
        """Axes that count output channels."""
        return tuple(axis for axis, letter in enumerate(self.axes) if letter in "GK")

    @property
    def _order(self) -> list[int]:
        """The axes as the form in common has them."""
        return sorted(range(len(self.axes)), key=lambda axis: "HWIGK".index(self.axes[axis]))

    def common(self, kernel: NDArray) -> NDArray:
        """A kernel as [H, W, I, K]."""
        sizes = dict(zip(self.axes, kernel.shape, strict=True))
        shape = [prod(sizes.get(letter, 1) for letter in axis) for axis in ("H", "W", "I", "GK")]
        return kernel.transpose(self._order).reshape(shape)

    def restored(self, common: NDArray, shape: tuple[int, ...]) -> NDArray:
        """A kernel [H, W, I, K] in this layout, of that shape; undoes `common`."""
        ordered = common.reshape([shape[axis] for axis in self._order])
        return ordered.transpose(np.argsort(self._order))


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "conv": Layout("HWIK"),
        "depthwise": Layout("HWGK"),
        "dense": Layout("IK"),
        "transposed_conv": Layout("HWKI"),
        "affine": Layout("K"),
    }
)
"""Of Keras' kernels, by the op of `network.ops`; affine ops multiply by one number per channel."""
STORED: Mapping[str, Layout] = MappingProxyType(
    {
        "CONV_2D": Layout("KHWI"),
        "DEPTHWISE_CONV_2D": Layout("IHWK"),
        "FULLY_CONNECTED": Layout("KI"),
        "TRANSPOSE_CONV": Layout("KHWI"),
    }
)
"""Of kernels in .tflite files, by operator."""


def grouped(kernel: NDArray, groups: int) -> NDArray:
    """A kernel [H, W, I, K] as [G, H, W, I, K / G]."""
    return np.moveaxis(kernel.reshape(*kernel.shape[:3], groups, -1), 3, 0)


def joined(kernel: NDArray) -> NDArray:
    """A kernel [G, H, W, I, K / G] as [H, W, I, K]; undoes `grouped`."""
    return np.moveaxis(kernel, 0, 3).reshape(*kernel.shape[1:4], -1)


def scaled_inputs(kernel: NDArray, scale: NDArray, groups: int) -> NDArray:
    """A kernel [H, W, I, K] whose input channels come multiplied by `scale` [C].

    Where I * groups is a multiple of C (flattened images), channels run fastest.
    """
    inputs = kernel.shape[2]
    factors = np.tile(scale, inputs * groups // scale.size).reshape(groups, 1, 1, inputs, 1)
    return joined(grouped(kernel, groups) * factors)
