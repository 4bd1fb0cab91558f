"""Affine quantization: real = scale * (code - zero_point), Jacob et al. 2018, Eq. 1.

Conventions
    `codes` are integers of `QuantParams.dtype`; `values` are real numbers (any float dtype).
    Per-tensor parameters hold arrays of shape (), per-channel ones arrays of shape [C] that run
    along `axis` of the tensor.

References
    Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference"; Yun's thesis Eq. 2.5-2.8 (the nudge).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LIMITS = {
    "uint8": (0, 255),
    "int4": (-8, 7),
    "int8": (-128, 127),
    "int16": (-32768, 32767),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
}
STORED = {"int4": "int8"}
"""NumPy's dtype of codes where it is not the parameters' own."""
NARROWEST = 1.001e-6
"""Narrowest range that TFLite's converter keeps; it moves narrower ones to [-5e-7, 5e-7]."""
SMALLEST_BOUND = 5e-7
"""Smallest bound of symmetric parameters that TFLite's converter keeps; it raises smaller ones."""


@dataclass(frozen=True, eq=False)
class QuantParams:
    """Scale and zero point of one tensor.

    Attributes:
        scale: step between neighbouring codes, > 0; shape () or [C], float64.
        zero_point: code of the real number 0; shape of `scale`, int64.
        dtype: one of `LIMITS`.
        axis: the channel axis when the parameters are per channel, else None.
    """

    scale: NDArray[np.float64]
    zero_point: NDArray[np.int64]
    dtype: str = "uint8"
    axis: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", np.asarray(self.scale, np.float64))
        object.__setattr__(self, "zero_point", np.asarray(self.zero_point, np.int64))
        if self.dtype not in LIMITS:
            raise ValueError(f"dtype must be one of {sorted(LIMITS)}, received {self.dtype!r}")
        if self.scale.shape != self.zero_point.shape or self.scale.ndim != (self.axis is not None):
            raise ValueError(
                "scale and zero_point must both have shape () with axis=None, or [C] with an "
                f"axis; received {self.scale.shape}, {self.zero_point.shape}, axis={self.axis}"
            )
        if not (np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise ValueError(f"scale must be positive and finite, received {self.scale}")

    @property
    def grid(self) -> tuple[float, float, float, float]:
        """(scale, zero point, lowest code, highest code) of per-tensor parameters, as floats."""
        low, high = LIMITS[self.dtype]
        return float(self.scale), float(self.zero_point), float(low), float(high)

    @property
    def range(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The smallest and the largest representable values; both of the shape of `scale`."""
        low, high = LIMITS[self.dtype]
        return self.scale * (low - self.zero_point), self.scale * (high - self.zero_point)


@dataclass(frozen=True)
class RealGrid:
    """Where real values lie that are rounded without becoming codes: ends, and distance between.

    Of several grids, one a channel, the ends are the outermost.
    """

    low: float
    high: float
    step: float


def spanning(low: Any, high: Any, library: Any = np) -> tuple[Any, Any]:
    """The range that a grid spans for the sake of [low, high]: 0 is in it, and it has some width.

    An empty range at 0 becomes [0, 1], so that a constant-zero tensor has a code; other ranges are
    stretched, both ends by one factor, to `NARROWEST` at least.

    Args:
        low, high: numbers or arrays, low <= high.
        library: `numpy`, or `tensorflow` for its tensors.
    """
    low, high = library.minimum(low, 0.0), library.maximum(high, 0.0)
    width = high - low
    empty = width == 0.0
    narrow = NARROWEST / library.where(empty, library.ones_like(width), width)
    stretch = library.where(width < NARROWEST, narrow, library.ones_like(width))
    return low * stretch, library.where(empty, library.ones_like(high), high * stretch)


def from_range(minimum: ArrayLike, maximum: ArrayLike, dtype: str = "uint8") -> QuantParams:
    """Per-tensor asymmetric parameters whose grid spans a range and holds 0 exactly.

    The range is widened (`spanning`) and its low end nudged to a multiple of the scale (thesis
    Eq. 2.5-2.8).

    The scale is a float32 number, as files hold it: pixels in [-1, 1] lie halfway between two codes
    of scale 2 / 255, and not of its float32 neighbour, so the two give other codes.

    Raises:
        ValueError: the ends are not finite, or minimum > maximum.
    """
    low, high = float(np.asarray(minimum)), float(np.asarray(maximum))
    if not (np.isfinite(low) and np.isfinite(high)) or low > high:
        raise ValueError(f"a range needs finite minimum <= maximum, received [{low}, {high}]")
    low, high = spanning(low, high)
    first, last = LIMITS[dtype]
    scale = (high - low) / (last - first)
    zero_point = np.clip(np.floor(first - low / scale + 0.5), first, last)
    return QuantParams(np.asarray(np.float32(scale)), np.asarray(zero_point), dtype)


def symmetric(bounds: ArrayLike, axis: int) -> QuantParams:
    """int8 parameters per channel whose codes -127 to 127 span [-bound, bound]; their zero is 0.

    Bounds below `SMALLEST_BOUND` count as that. Scales are float32 numbers, as files hold them
    (TFLite's 8-bit quantization specification, weights).

    Args:
        bounds: of every channel [C], at least 0.
        axis: the channel axis of the tensor.
    """
    scale = np.maximum(np.asarray(bounds, np.float64), SMALLEST_BOUND) / LIMITS["int8"][1]
    return QuantParams(np.asarray(np.float32(scale)), np.zeros(scale.shape, np.int64), "int8", axis)


def _along_axis(parameter: NDArray, axis: int | None, ndim: int) -> NDArray:
    """`parameter` shaped to broadcast along `axis` of a tensor of `ndim` dimensions."""
    if axis is None:
        return parameter
    shape = [1] * ndim
    shape[axis] = -1
    return parameter.reshape(shape)


def quantize(values: ArrayLike, params: QuantParams) -> NDArray:
    """The nearest codes, saturated; exact ties go up, as in TensorFlow's fake quantization."""
    x = np.asarray(values, np.float64)
    scale = _along_axis(params.scale, params.axis, x.ndim)
    zero_point = _along_axis(params.zero_point, params.axis, x.ndim)
    low, high = LIMITS[params.dtype]
    return np.clip(np.floor(x / scale + 0.5) + zero_point, low, high).astype(
        STORED.get(params.dtype, params.dtype)
    )


def dequantize(codes: ArrayLike, params: QuantParams) -> NDArray[np.float64]:
    """Real values of codes, in float64: scale * (code - zero_point)."""
    q = np.asarray(codes).astype(np.int64)
    scale = _along_axis(params.scale, params.axis, q.ndim)
    zero_point = _along_axis(params.zero_point, params.axis, q.ndim)
    return scale * (q - zero_point).astype(np.float64)
