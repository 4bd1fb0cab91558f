"""Statistics of one tensor and distances between a tensor and its quantized form.

Conventions
    `reference` is the fp32 tensor, `quantized` the dequantized one, always in that order, of one
    shape. `channel_axis` is the axis that the statistic keeps (an int or a tuple: a depthwise
    kernel's channels are axes (2, 3)). Every sum runs in float64. Histograms are counts; they
    become probabilities with `epsilon` added to each bin and renormalized. Logarithms are natural.

Metrics
    range, average precision       Yun & Wong Eq. 2, thesis Eq. 3.1
    MSE (QMSE), QCE, QKL-Div       Yun & Wong, section 3
    SQNR                           Sheng et al., slide 4; thesis Eq. 3.3
    KL to uniform, sparsity        thesis, sections 4.6 and 6.2
    excess kurtosis                thesis, section 6.2.4 (KURE: kurtosis 1.8, so -1.2 is uniform)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

EPSILON = 1e-9
BINS = 128


def validate(reference: ArrayLike, quantized: ArrayLike) -> tuple[NDArray, NDArray]:
    """Both tensors in float64.

    Raises:
        ValueError: shapes differ, a tensor is empty, or a value is NaN or infinite.
    """
    a, b = _checked(reference, "reference"), _checked(quantized, "quantized")
    if a.shape != b.shape:
        raise ValueError(
            f"reference and quantized must have one shape, received {a.shape} and {b.shape}"
        )
    return a, b


def _checked(values: ArrayLike, what: str) -> NDArray[np.float64]:
    x = np.asarray(values, np.float64)
    if x.size == 0:
        raise ValueError(f"{what} must hold at least one value, received shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"{what} must be finite, received NaN or infinity")
    return x


def dynamic_range(values: ArrayLike) -> float:
    """Largest minus smallest value, >= 0; 0 for a constant tensor (thesis section 3.1)."""
    x = _checked(values, "values")
    return float(x.max() - x.min())


def channel_ranges(values: ArrayLike, channel_axis: int | tuple[int, ...]) -> NDArray[np.float64]:
    """The range of every channel, [C]; several channel axes are flattened in C order."""
    x = _checked(values, "values")
    rest = _other_axes(x.ndim, channel_axis)
    return (x.max(axis=rest) - x.min(axis=rest)).reshape(-1)


def channel_lows(values: ArrayLike, channel_axis: int | tuple[int, ...]) -> NDArray[np.float64]:
    """The least value of every channel, [C], channels in the order of `channel_ranges`."""
    x = _checked(values, "values")
    return x.min(axis=_other_axes(x.ndim, channel_axis)).reshape(-1)


def _other_axes(ndim: int, channel_axis: int | tuple[int, ...]) -> tuple[int, ...]:
    axes = (channel_axis,) if isinstance(channel_axis, int) else tuple(channel_axis)
    kept = tuple(axis % ndim for axis in axes)
    return tuple(axis for axis in range(ndim) if axis not in kept)


def precision_of_ranges(ranges: ArrayLike, tensor_range: float) -> float:
    """Mean of range_i / range_tensor (Yun & Wong Eq. 2); 1 where the tensor's range is 0."""
    ranges = np.asarray(ranges, np.float64)
    return float((ranges / tensor_range).mean()) if tensor_range > 0 else 1.0


def average_precision(values: ArrayLike, channel_axis: int | tuple[int, ...]) -> float:
    """Average channel precision, in (0, 1]; 1 is best (Yun & Wong Eq. 2, thesis Eq. 3.1)."""
    return precision_of_ranges(channel_ranges(values, channel_axis), dynamic_range(values))


def mean_squared_error(reference: ArrayLike, quantized: ArrayLike) -> float:
    """QMSE: mean over all elements of (reference - quantized)^2; 0 is best."""
    a, b = validate(reference, quantized)
    return float(np.mean((a - b) ** 2))


def decibels(signal: ArrayLike, error: ArrayLike) -> NDArray[np.float64]:
    """10 log10(signal / error), elementwise, of sums of squares.

    +inf where the error is 0, -inf where the signal is 0 and the error is not.
    """
    signal, error = np.asarray(signal, np.float64), np.asarray(error, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 10.0 * (np.log10(signal) - np.log10(error))
    return np.where(error == 0, np.inf, ratio)


def sqnr_db(reference: ArrayLike, quantized: ArrayLike) -> float:
    """Signal-to-quantization-noise ratio in dB of the pooled sums (Sheng et al.); higher is better.

    +inf where the error is 0, -inf where the signal is 0 and the error is not.
    """
    a, b = validate(reference, quantized)
    return float(decibels(np.sum(a**2), np.sum((a - b) ** 2)))


def probabilities(counts: ArrayLike, epsilon: float = EPSILON) -> NDArray[np.float64]:
    """A histogram as probabilities, [bins]: normalized, `epsilon` added to each, renormalized.

    Raises:
        ValueError: counts are negative or all zero.
    """
    c = _checked(counts, "counts")
    if (c < 0).any() or c.sum() == 0:
        raise ValueError("a histogram needs counts >= 0 with at least one above 0")
    p = c / c.sum() + epsilon
    return p / p.sum()


def entropy(p: ArrayLike) -> float:
    """H(P) = -sum P ln P in nats, >= 0; bins of probability 0 add nothing."""
    p = _checked(p, "p")
    return float(-np.sum(p[p > 0] * np.log(p[p > 0])))


def kl_divergence(p: ArrayLike, q: ArrayLike) -> float:
    """KL(P || Q) = sum P ln(P / Q) in nats, >= 0; +inf where Q is 0 and P is not (QKL-Div)."""
    p, q = validate(p, q)
    with np.errstate(divide="ignore"):
        return max(0.0, float(np.sum(p[p > 0] * (np.log(p[p > 0]) - np.log(q[p > 0])))))


def cross_entropy(p: ArrayLike, q: ArrayLike) -> float:
    """H(P) + KL(P || Q) in nats, >= H(P) (QCE)."""
    return entropy(p) + kl_divergence(p, q)


def kl_to_uniform(counts: ArrayLike) -> float:
    """KL(P || U) = ln(bins) - H(P) of a histogram over the tensor's own bounds.

    0 for a uniform tensor, ln(bins) for a constant one (thesis section 4.6).
    """
    p = probabilities(counts, epsilon=0.0)
    return max(0.0, float(np.log(p.size) - entropy(p)))


def sparsity(values: ArrayLike) -> float:
    """Share of exact zeros, in [0, 1]."""
    return float(np.mean(_checked(values, "values") == 0))


def excess_kurtosis(values: ArrayLike) -> float:
    """m4 / m2^2 - 3 (population moments): 0 for a normal tensor, -1.2 for a uniform one.

    NaN for a constant tensor, where it is not defined.
    """
    x = _checked(values, "values")
    squares = (x - x.mean()) ** 2
    variance = squares.mean()
    return float(np.mean(squares**2) / variance**2 - 3.0) if variance > 0 else float("nan")


def histogram(values: ArrayLike, bins: int = BINS) -> NDArray[np.int64]:
    """Counts [bins] between a tensor's own bounds; a constant tensor falls into the first bin."""
    x = _checked(values, "values").reshape(-1)
    low, high = float(x.min()), float(x.max())
    if low == high:
        return np.bincount([0], [x.size], bins).astype(np.int64)
    place = ((x - low) * (bins / (high - low))).astype(np.int64)
    return np.bincount(np.minimum(place, bins - 1), minlength=bins)


@dataclass(frozen=True)
class Property:
    """What holds for a distance whatever the tensors; tests/numerics/test_metrics.py checks it."""

    symmetric: bool
    non_negative: bool
    on_equal: float


METRICS = {
    "mean_squared_error": Property(symmetric=True, non_negative=True, on_equal=0.0),
    "sqnr_db": Property(symmetric=False, non_negative=False, on_equal=float("inf")),
    "kl_divergence": Property(symmetric=False, non_negative=True, on_equal=0.0),
}
