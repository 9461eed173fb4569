"""Counting: reference of _kernels.c, which tells how it is done, and what stands in for it."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from calibrant.core.cells import CELLS, LANES
from calibrant.core.histogram import BINS

CHUNK = 1024
MOST_EDGES = 14


@njit(cache=True, nogil=True, error_model="numpy")
def count_magnitudes(
    values: NDArray[np.float32],
    start: int,
    anchor: np.float32,
    limit: np.float32,
    hot: int,
    cells: NDArray[np.uint32],
    keys: NDArray[np.int64],
) -> int:
    """Add a flat array's magnitudes from index ``start`` on, in place.

    limit: anchor * 2**k, both at least SMALLEST_ANCHOR, or 0, which counts zeros only. hot: the bin expected
    to be fullest. cells: uint32 (CELLS,), a cell a bin and LANES more that are zero before and after; they
    wrap. keys: int64 (2,), keys (float_of_key) of the smallest and largest value so far.
    Returns the index of the first chunk that holds a magnitude above ``limit`` and was not counted, or the
    array's size.

    A histogram counts a value equal to its limit in its last bin; counted anew after a doubling it would
    fall one bin higher, and the result would depend on the order of the samples. So magnitudes that sit on
    a former limit go into the bin where that limit's histogram had them.
    """
    bits = values.view(np.int32)
    found = np.empty(CHUNK, np.uint32)
    limit_key = np.int64(np.array([limit], np.float32).view(np.int32)[0])
    inverse = np.float32(BINS) / limit if limit > 0 else np.float32(0)
    edges = _edges(anchor, limit, inverse)
    position = start
    while position < values.size:
        size = min(CHUNK, values.size - position)
        chunk = bits[position : position + size]
        low, high = _find_cells(chunk, values[position : position + size], inverse, np.int32(hot), found)
        keys[0], keys[1] = min(keys[0], low), max(keys[1], high)
        if max(-low, high) > limit_key:
            break
        before = cells[edges[:, 0]]
        for j in range(size):
            cells[found[j]] += np.uint32(1)
        _lower(chunk, edges, before, hot, cells)
        position += size
    for lane in range(BINS, CELLS):
        cells[hot] += cells[lane]
        cells[lane] = 0
    return position


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _find_cells(
    bits: NDArray[np.int32],
    values: NDArray[np.float32],
    inverse: np.float32,
    hot: np.int32,
    found: NDArray[np.uint32],
) -> tuple[np.int64, np.int64]:
    """Write a chunk's cells and return the keys of its extremes.

    As unsigned integers the bits of negative floats are largest and ordered the other way round.
    """
    top = np.int32(-0x7FFFFFFF - 1)
    unsigned_top = np.uint32(0)
    unsigned_low = np.uint32(0xFFFFFFFF)
    for j in range(values.size):
        pattern = np.uint32(bits[j])
        top = max(top, bits[j])
        unsigned_top = max(unsigned_top, pattern)
        unsigned_low = min(unsigned_low, pattern)
        index = min(np.int32(abs(values[j]) * inverse), np.int32(BINS - 1))
        if index == hot:
            index = np.int32(BINS) + (np.int32(j) & np.int32(LANES - 1))
        found[j] = np.uint32(index)
    low = np.int64(unsigned_top) if unsigned_top >= np.uint32(0x80000000) else np.int64(unsigned_low)
    high = np.int64(top) if top >= 0 else np.int64(unsigned_low)
    return _key(low), _key(high)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _key(pattern: np.int64) -> np.int64:
    return pattern if pattern < 0x80000000 else np.int64(0x80000000) - pattern


@njit(cache=True, nogil=True, error_model="numpy")
def _edges(anchor: np.float32, limit: np.float32, inverse: np.float32) -> NDArray[np.int32]:
    """Former limits that have values to move: a bin, and the first and last of their bits.

    The edge can be rounded down into the bin below, and the number below it up into its bin.
    """
    edges, count = np.empty((MOST_EDGES, 3), np.int32), 0
    edge, edge_bin = limit / np.float32(2), BINS // 2
    while edge >= anchor and edge_bin > 0:
        last = np.array([edge], np.float32).view(np.int32)[0]
        first = last + 1
        while first >= last and np.array([first - 1], np.int32).view(np.float32)[0] * inverse >= edge_bin:
            first -= 1
        if first <= last:
            edges[count, 0], edges[count, 1], edges[count, 2] = edge_bin, first, last
            count += 1
        edge /= np.float32(2)
        edge_bin //= 2
    return edges[:count]


@njit(cache=True, nogil=True, error_model="numpy")
def _lower(
    bits: NDArray[np.int32],
    edges: NDArray[np.int32],
    before: NDArray[np.uint32],
    hot: int,
    cells: NDArray[np.uint32],
) -> None:
    """Move a chunk's values on an edge one bin down.

    Only where the chunk has added to the edge's bin can it hold any; the hot bin's lie elsewhere yet.
    """
    for i in range(len(edges)):
        edge_bin, first, last = edges[i]
        if cells[edge_bin] == before[i] and edge_bin != hot:
            continue
        moved = _magnitudes_between(bits, first, last)
        cells[edge_bin] -= moved
        cells[edge_bin - 1] += moved


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _magnitudes_between(bits: NDArray[np.int32], first: np.int32, last: np.int32) -> np.uint32:
    """How many floats have magnitudes whose bits lie in [first, last]: integers, to be vectorised."""
    span = np.uint32(last - first)
    found = np.uint32(0)
    for j in range(bits.size):
        found += np.uint32(np.uint32((bits[j] & np.int32(0x7FFFFFFF)) - first) <= span)
    return found
