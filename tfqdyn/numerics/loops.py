"""The loops over activations, compiled by Numba: every value is read from memory once.

Glossary of shapes
    N images, P positions (height x width), C channels, B histogram bins. `x` is fp32 [N, P, C];
    `q` holds codes or values of the same shape, real = scale * (q - zero).

Rules
    Sums run in float64. Everything is added image by image in order, so that neither the batch
    size nor the number of threads changes a figure. Loops release Python's lock.
    Whatever the values are, no loop reads or writes outside its arrays: places in a histogram are
    brought into it by comparisons that NaN fails. What holds NaN or infinity is reported by image.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from tfqdyn.numerics.compilation import EXACT, compiled

BLOCK = 4096
"""Values handled at a time: fp32 values and codes of a block stay in the first-level cache."""
WITHOUT_SIGN, INFINITY = np.int32(0x7FFFFFFF), np.int32(0x7F800000)
"""Of a float32's bits: all but the sign; those of infinity, which none of a finite number reach."""
LANES = 4
"""Interleaved copies of each histogram: runs of equal values then do not wait for each other."""
ALL_FINITE = -1
"""What loops return if no image holds NaN or infinity; else they return the first that does."""
COUNT, ZEROS, FIRST, SECOND, THIRD, FOURTH = MOMENTS = range(6)
"""Places in the array of moments: values, zeros among them, and the sums of x, x^2, x^3, x^4."""
IMAGES, SIGNAL, ERROR, DECIBELS, INFINITE, OUTSIDE, CLIPPED = TOTALS = range(7)
"""Places in the array of totals: images, sum x^2, sum (x - x^)^2, the sum of the images' SQNR in dB
where it is finite, images where it is not, values outside the histogram, values that saturate."""


@compiled(**EXACT)
def _add_moments(x, q, scale, zero, sums, error):  # x, q [R, C]; sums [4, C]; error [C]
    first, second, third, fourth = sums[0], sums[1], sums[2], sums[3]
    for r in range(x.shape[0]):
        for c in range(x.shape[1]):
            v = np.float64(x[r, c])
            e = v - scale * (np.float64(q[r, c]) - zero)
            v2 = v * v
            first[c] += v
            second[c] += v2
            third[c] += v2 * v
            fourth[c] += v2 * v2
            error[c] += e * e


@compiled(**EXACT)
def _add_errors(x, q, scale, zero, signal, error):  # x, q [R, C]; signal, error [C]
    for r in range(x.shape[0]):
        for c in range(x.shape[1]):
            v = np.float64(x[r, c])
            e = v - scale * (np.float64(q[r, c]) - zero)
            signal[c] += v * v
            error[c] += e * e


@compiled(**EXACT)
def _count_values(x, low, high, bins, index, counts):  # x [M], index [>= M], counts [LANES, B]
    inverse = bins / (high - low)
    top = np.float64(bins - 1)
    for i in range(x.size):
        place = (np.float64(x[i]) - low) * inverse
        place = place if place > 0.0 else 0.0
        index[i] = np.int32(place if place < top else top)
    full = x.size - x.size % LANES
    for i in range(0, full, LANES):
        counts[0, index[i]] += 1
        counts[1, index[i + 1]] += 1
        counts[2, index[i + 2]] += 1
        counts[3, index[i + 3]] += 1
    for i in range(full, x.size):
        counts[0, index[i]] += 1


@compiled(**EXACT)
def _count_codes(q, below, counts):  # q [M] uint8 or int8, `below` codes below 0
    full = q.size - q.size % LANES  # counts [LANES, 256]
    for i in range(0, full, LANES):
        counts[0, q[i] + below] += 1
        counts[1, q[i + 1] + below] += 1
        counts[2, q[i + 2] + below] += 1
        counts[3, q[i + 3] + below] += 1
    for i in range(full, q.size):
        counts[0, q[i] + below] += 1


def _count_quantized(q, scale, zero, edges, index, counts):
    """Counts 8-bit codes by code, all else by value; compiled for each by the overload below."""
    raise AssertionError("only ever called from compiled code")


@overload(_count_quantized)
def _count_quantized_typed(q, scale, zero, edges, index, counts):
    if q.dtype == types.uint8:
        return lambda q, scale, zero, edges, index, counts: _count_codes(q, 0, counts)
    if q.dtype == types.int8:
        return lambda q, scale, zero, edges, index, counts: _count_codes(q, 128, counts)
    return lambda q, scale, zero, edges, index, counts: _count_values(
        q, edges[0] / scale + zero, edges[1] / scale + zero, counts.shape[1], index, counts
    )


@compiled(nogil=True, fastmath={"reassoc", "nsz"})
def _count_special(x, inside, fits):  # x [M <= 2^24]; float32 bounds, inclusive
    """How many values are 0, lie outside `inside`, lie outside `fits`.

    Counts are kept in float32, where they are exact, so that the loop runs on full vectors.
    """
    one, none = np.float32(1), np.float32(0)
    zeros, beyond, clipped = none, none, none
    for i in range(x.size):
        v = x[i]
        zeros += one if v == none else none
        beyond += (one if v < inside[0] else none) + (one if v > inside[1] else none)
        clipped += (one if v < fits[0] else none) + (one if v > fits[1] else none)
    return zeros, beyond, clipped


@compiled(**EXACT)
def compare(x, q, scale, zero, edges, inside, fits, moments, channels, totals, p_counts, q_counts):
    """Adds one chunk to a layer's running sums.

    Args:
        x: fp32 activations [N, P, C].
        q: codes, or fp32 values, of the quantized network [N, P, C].
        scale, zero: real value of q; 1 and 0 where q holds values.
        edges: (low, high) of the common histogram.
        inside: (low, high) in float32; values beyond are counted as outside the histogram.
        fits: (low, high) in float32 of what rounds to the grid; values beyond saturate.
        moments: [6] float64, added to: see `COUNT` and the places after it; empty when another
            trial already did.
        channels: [2, C] float64: per channel sum x^2 and sum (x - x^)^2, added to.
        totals: [7] float64, added to: see `IMAGES` and the places after it.
        p_counts: [LANES, B] int64, histogram of x, added to.
        q_counts: [LANES, 256] int64 of 8-bit codes from the lowest, or [LANES, B] of values, added
            to.

    Returns:
        `ALL_FINITE`, or the first image of which x or q holds NaN or infinity: what was added to is
        of no use then.
    """
    images, positions, width = x.shape
    rows = max(1, BLOCK // width)
    index = np.empty(rows * width, np.int32)
    sums = np.zeros((4, width))
    error = np.zeros(width)
    for n in range(images):
        error[:] = 0.0
        sums[:] = 0.0
        start = 0
        while start < positions:
            stop = min(positions, start + rows)
            xs = x[n, start:stop]
            qs = q[n, start:stop]
            flat = xs.reshape(xs.size)
            if moments.size:
                _add_moments(xs, qs, scale, zero, sums, error)
            else:
                _add_errors(xs, qs, scale, zero, sums[1], error)
            _count_values(flat, edges[0], edges[1], p_counts.shape[1], index, p_counts)
            _count_quantized(qs.reshape(qs.size), scale, zero, edges, index, q_counts)
            zeros, beyond, clipped = _count_special(flat, inside, fits)
            totals[OUTSIDE] += beyond
            totals[CLIPPED] += clipped
            if moments.size:
                moments[ZEROS] += zeros
            start = stop
        image_signal, image_error = 0.0, 0.0
        for c in range(width):
            channels[0, c] += sums[1, c]
            channels[1, c] += error[c]
            image_signal += sums[1, c]
            image_error += error[c]
        if not math.isfinite(image_signal + image_error):  # no sum of squared float32 overflows
            return n
        _add_image(image_signal, image_error, totals)
        if moments.size:
            moments[COUNT] += positions * width
            for k in range(4):
                moments[FIRST + k] += sums[k].sum()
    return ALL_FINITE


@compiled(**EXACT)
def _add_image(signal, error, totals):
    totals[IMAGES] += 1.0
    totals[SIGNAL] += signal
    totals[ERROR] += error
    if signal > 0.0 and error > 0.0:
        totals[DECIBELS] += 10.0 * (math.log10(signal) - math.log10(error))
    else:
        totals[INFINITE] += 1.0


@compiled(**EXACT)
def compare_own(x, q, scale, zero, channels, totals):
    """Adds one chunk to a row's own error.

    Args:
        x: fp32 activations [N, P, C].
        q: codes, or values where scale is 1 and zero 0, of the same size.
        scale, zero: real value of q.
        channels: [2, C] float64: per channel sum (x^ - x) and sum (x^ - x)^2, added to.
        totals: [7] float64, added to: its places `IMAGES` to `INFINITE`.

    Returns:
        As `compare`.
    """
    for n in range(x.shape[0]):
        signal, error = 0.0, 0.0
        for p in range(x.shape[1]):
            for c in range(x.shape[2]):
                v = np.float64(x[n, p, c])
                e = scale * (np.float64(q[n, p, c]) - zero) - v
                channels[0, c] += e
                channels[1, c] += e * e
                signal += v * v
                error += e * e
        if not math.isfinite(signal + error):
            return n
        _add_image(signal, error, totals)
    return ALL_FINITE


@compiled(**EXACT)
def squared_error(x, y):
    """Sum of (x - y)^2 in float64; both [M] float32."""
    total = 0.0
    for i in range(x.size):
        e = np.float64(x[i]) - np.float64(y[i])
        total += e * e
    return total


@compiled(**EXACT)
def mean_squares(x, means):
    """Mean square of every image: x [N, M] float32 into means [N] float64."""
    for n in range(x.shape[0]):
        total = 0.0
        for i in range(x.shape[1]):
            total += np.float64(x[n, i]) ** 2
        means[n] = total / x.shape[1]


@compiled(**EXACT)
def quantize(x, scale, zero, low, high, codes):
    """The nearest codes of x [M] in [low, high], ties up, as `grid.quantize` gives them."""
    for i in range(x.size):
        place = math.floor(np.float64(x[i]) / scale + 0.5) + zero
        codes[i] = min(max(place, low), high)


@compiled(**EXACT)
def channel_extrema(x, low, high):
    """Smallest and largest value of every image's channels: x [N, P, C] into low, high [N, C].

    Returns:
        `ALL_FINITE`, or the first image with NaN or infinity, at which it stops.
    """
    bits = x.view(np.int32)
    for n in range(x.shape[0]):
        smallest, largest = low[n], high[n]
        worst = np.int32(0)
        for c in range(x.shape[2]):
            smallest[c] = largest[c] = x[n, 0, c]
        for p in range(x.shape[1]):
            for c in range(x.shape[2]):
                v = x[n, p, c]
                smallest[c] = min(smallest[c], v)
                largest[c] = max(largest[c], v)
                worst = max(worst, bits[n, p, c] & WITHOUT_SIGN)
        if worst >= INFINITY:
            return n
    return ALL_FINITE


@compiled(**EXACT)
def count_signed(x, inverse_width, counts, zeros):
    """Counts x [M] into bins of 1 / inverse_width, 0 at the middle of counts [1, 2 H].

    The inverse width is a power of 2 that float32 holds, so that scaling is exact. Exact zeros go
    to zeros [1]: there are many, and one bin that grows all the time would hold up all others.
    """
    row = counts[0]
    half = row.size // 2
    inverse = np.float32(inverse_width)
    first, last = np.float32(-half), np.float32(half - 1)
    index = np.empty(BLOCK, np.int32)
    for start in range(0, x.size, BLOCK):
        block = x[start : start + BLOCK]
        found = 0
        for i in range(block.size):
            place = np.floor(block[i] * inverse)
            place = place if place > first else first
            index[found] = np.int32(place if place < last else last) + half
            found += block[i] != 0
        for i in range(found):
            row[index[i]] += 1
        zeros[0] += block.size - found


@compiled(**EXACT)
def count_signed_channels(x, inverse_widths, counts, zeros):
    """`count_signed` of every channel: x [R, C], counts [C, 2 H], zeros [C]."""
    half = counts.shape[1] // 2
    first, last = np.float64(-half), np.float64(half - 1)
    for r in range(x.shape[0]):
        for c in range(x.shape[1]):
            v = x[r, c]
            if v == 0:
                zeros[c] += 1
            else:
                place = np.floor(np.float64(v) * inverse_widths[c])
                place = place if place > first else first
                counts[c, np.int64(place if place < last else last) + half] += 1


@compiled(**EXACT)
def error_of_range(centres, counts, low, high, levels):
    """Sum of counts * (centre - quantized)^2; the grid has `levels` steps over [low, high]."""
    step = (high - low) / levels
    zero = math.floor(-low / step + 0.5)
    total = 0.0
    for i in range(centres.size):
        code = min(max(math.floor(centres[i] / step + 0.5) + zero, 0.0), np.float64(levels))
        e = centres[i] - step * (code - zero)
        total += counts[i] * e * e
    return total
