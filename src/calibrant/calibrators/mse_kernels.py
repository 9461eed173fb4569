"""The error integral of the MSE calibrator, compiled by numba on first use."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True, error_model="numpy")
def _rounding_integral(x: float) -> float:
    """Integral of (u - round(u))**2 from 0 to x >= 0."""
    whole = np.floor(x + 0.5)
    rest = x - whole
    return float((whole + 4.0 * rest * rest * rest) / 12.0)


@njit(cache=True, nogil=True, error_model="numpy")
def squared_errors(
    counts: NDArray[np.int64], limit: float, thresholds: NDArray[np.float64], levels: float
) -> NDArray[np.float64]:
    """Summed squared error of the counted magnitudes for each threshold, real units squared.

    counts: int64 (B,), over [0, limit]; ``levels`` steps span [0, threshold].
    """
    width = limit / counts.size
    errors = np.zeros(thresholds.size)
    for t in range(thresholds.size):
        threshold = thresholds[t]
        step = threshold / levels
        for b in range(counts.size):
            if counts[b] == 0:
                continue
            low, high = b * width, (b + 1) * width
            inner = min(high, threshold)
            lost = 0.0
            if low < inner:
                lost += (_rounding_integral(inner / step) - _rounding_integral(low / step)) * step**3
            outer = max(low, threshold)
            if outer < high:
                lost += ((high - threshold) ** 3 - (outer - threshold) ** 3) / 3.0
            errors[t] += counts[b] * lost / width
    return errors
