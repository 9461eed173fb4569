"""The loop that summarises one tensor of one sample: reference of _kernels.c, and what stands in for it."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from calibrant.stages.coverage.bins import BINS_PER_OCTAVE, HALF, LOWEST_EXPONENT

_SHIFT = 20  # of a float32's 23 mantissa bits three are left: eight bins an octave
_FIRST = (127 + LOWEST_EXPONENT) * BINS_PER_OCTAVE


@njit(cache=True, nogil=True, error_model="numpy")
def summarise(
    values: NDArray[np.float32],
    lows: NDArray[np.float32],
    highs: NDArray[np.float32],
    counts: NDArray[np.int64],
    outside: NDArray[np.int64],
    extremes: NDArray[np.float32],
) -> bool:
    """Add a flat array's values, in place; False when one is NaN or infinite.

    lows, highs: (R,), ranges; outside: (R,), how many values lie outside each. counts: (2 * HALF,), bins of
    positive values (and zero), then of negative ones. extremes: (2,), smallest and largest value so far.
    """
    tightest_low, tightest_high = np.float32(-np.inf), np.float32(np.inf)
    for r in range(lows.size):
        tightest_low, tightest_high = max(tightest_low, lows[r]), min(tightest_high, highs[r])
    bits = values.view(np.int32)
    low, high = extremes[0], extremes[1]
    for j in range(values.size):
        value, pattern = values[j], bits[j]
        magnitude = pattern & np.int32(0x7FFFFFFF)
        if magnitude >= np.int32(0x7F800000):
            return False
        index = min(max((magnitude >> _SHIFT) - _FIRST, 0), HALF - 1)
        counts[index + HALF * (pattern < 0)] += 1
        low, high = min(low, value), max(high, value)
        if value < tightest_low or value > tightest_high:
            for r in range(lows.size):
                outside[r] += value < lows[r] or value > highs[r]
    extremes[0], extremes[1] = low, high
    return True
