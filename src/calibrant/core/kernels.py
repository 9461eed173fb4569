"""Loops that numpy cannot do in one pass, compiled by numba on first use (and cached on disk)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from calibrant.core.histogram import BINS


@njit(cache=True, nogil=True, error_model="numpy")
def extremes(values: NDArray[np.float32]) -> tuple[float, float]:
    """Smallest and largest of a flat, non-empty array; NaN where any value is NaN."""
    low = values[0]
    high = values[0]
    invalid = False
    for value in values:
        low = min(low, value)
        high = max(high, value)
        invalid |= value != value
    if invalid:
        return np.nan, np.nan
    return low, high


@njit(cache=True, nogil=True, error_model="numpy")
def count_magnitudes(
    values: NDArray[np.float32], anchor: np.float32, limit: np.float32, counts: NDArray[np.int64]
) -> None:
    """Add a flat array's magnitudes, all of them at most ``limit = anchor * 2**k``, to ``counts``."""
    if limit == 0:
        counts[0] += values.size
        return
    inverse = np.float32(BINS) / limit
    for value in values:
        bin_index = int(abs(value) * inverse)
        counts[min(bin_index, BINS - 1)] += 1
    _lower_edge_values(values, anchor, limit, inverse, counts)


@njit(cache=True, nogil=True, error_model="numpy")
def _lower_edge_values(
    values: NDArray[np.float32],
    anchor: np.float32,
    limit: np.float32,
    inverse: np.float32,
    counts: NDArray[np.int64],
) -> None:
    """Move magnitudes that sit on a former limit into the bin where that limit's histogram had them.

    A histogram counts a value equal to its limit in its last bin; counted anew after a doubling it
    would fall one bin higher, and the result would depend on the order of the samples.
    """
    edge, edge_bin = limit / np.float32(2), BINS // 2
    while edge >= anchor and edge_bin > 0:
        moved = 0
        for value in values:
            magnitude = abs(value)
            moved += (magnitude <= edge) & (magnitude * inverse >= edge_bin)
        counts[edge_bin] -= moved
        counts[edge_bin - 1] += moved
        edge /= np.float32(2)
        edge_bin //= 2
