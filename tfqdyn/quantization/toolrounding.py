"""How TensorFlow 1.15's quantized kernels round, which the Graph Transform Tool puts into a graph.

Read in `tensorflow/core/kernels/quantization_utils.h`, `quantize_op.cc`, `requantize.cc` and
`quantized_bias_add_op.cc`, and in `graph_transforms/quantize_weights.cc`.
"""

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

LEVELS = 255
NARROWEST = 1e-6
"""Width of the grid of a constant."""


@dataclass(frozen=True)
class Rounding:
    """Rounds to 8 bits, as the ops that read the codes see them.

    Attributes:
        low, high: the stored range; `high` > `low`, `low` <= 0.
        unnudged: whether `low` itself is code 0, as Requantize puts it, or a whole number of steps
            below 0, as QuantizeV2 (mode MIN_FIRST) does.
    """

    low: float
    high: float
    unnudged: bool = False

    @property
    def step(self) -> float:
        """Distance of neighbouring values."""
        return (self.high - self.low) / LEVELS

    @property
    def zero(self) -> float:
        """The code that readers take for 0: the nearest one to it."""
        return _half_away(-self.low / self.step)

    @property
    def ends(self) -> tuple[float, float]:
        """The values of codes 0 and 255."""
        return -self.zero * self.step, (LEVELS - self.zero) * self.step

    def __call__(self, values: tf.Tensor) -> tf.Tensor:
        """The values, float32 of any shape, on the grid."""
        scaled = tf.cast(values, tf.float64) / self.step
        if self.unnudged:
            codes = tf.floor(scaled - self.low / self.step + 0.5)
        else:
            codes = tf.sign(scaled) * tf.floor(tf.abs(scaled) + 0.5) + self.zero
        held = tf.clip_by_value(codes, 0.0, float(LEVELS))
        return tf.cast((held - self.zero) * self.step, tf.float32)

    def relu(self, values: tf.Tensor, top: float | None) -> tf.Tensor:
        """QuantizedRelu(6) of values on the grid: codes between those of 0 and of `top`."""
        first, last = self.ends
        floor = min(max(0.0, first), last)
        ceiling = last if top is None else max(floor, _half_away(top / self.step) * self.step)
        return tf.clip_by_value(values, np.float32(floor), np.float32(min(last, ceiling)))


def dynamic(low: float, high: float) -> Rounding:
    """QuantizeV2 over a range: widened to hold 0, and to a hundredth of its larger end, or of 1."""
    first = min(0.0, low)
    return Rounding(first, max(high, first + max(1.0, abs(low), abs(high)) / 100.0, 0.0))


def frozen(low: float, high: float, unnudged: bool = True) -> Rounding:
    """Requantize over a range that RequantizationRange measured: its low end is 0 at most.

    Its high end may lie below 0; then 0 is beyond the grid.
    """
    first = min(0.0, low)
    return Rounding(first, max(high, first + NARROWEST), unnudged)


def constant(values: NDArray[np.float32], minimum: int) -> Rounding:
    """How a kernel or a bias [...] of an integer op is rounded: over its extrema and 0.

    By `quantize_weights`, or, where it has fewer numbers than that takes, by a QuantizeV2.
    """
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if values.size < minimum:
        return dynamic(low, high)
    return Rounding(low, high if high > low else low + 1.0)


def bias_shift(sums: Rounding, bias: Rounding) -> float:
    """What QuantizedBiasAdd adds to all sums: 0, or -1/64 of the largest end of the ranges.

    Both operands go to 32-bit codes over +-2^17 times that end; the code of the range's low end,
    -2^31, is the product of two float32 numbers there, and the nearest float32 above it is 128
    away (`FloatToQuantizedStruct::range_min_scaled`, `QuantizedAddUsingEigen`). About one range in
    seven is hit. TensorFlow 2.21's kernel, without oneDNN, does the same.
    """
    ends = (sums.low, sums.high, bias.low, bias.high)
    total = max(abs(np.float32(end)) for end in ends) * np.float32(2**17)
    width = np.float32(total + total)
    scale = np.float32((2.0**32 - 1.0) / float(width))
    lowest = np.float32(np.round(-total * scale))
    return -2.0 * (float(lowest) + 2.0**31) * float(width) / 2.0**32


def _half_away(value: float) -> float:
    return math.copysign(math.floor(abs(value) + 0.5), value)
