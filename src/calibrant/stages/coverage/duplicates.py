"""Samples that are nearly the same: pairs of hashes that differ in few bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def near_pairs(
    first: NDArray[np.uint8], second: NDArray[np.uint8], most_bits: int
) -> list[tuple[int, int, int]]:
    """Index pairs of hashes that differ in at most ``most_bits`` bits, with that number, nearest first.

    first, second: uint8 (N, bytes) and (M, bytes). Memory is one row of M distances.
    """
    found: list[tuple[int, int, int]] = []
    for i, row in enumerate(first):
        bits = np.bitwise_count(second ^ row).sum(axis=1, dtype=np.int64)
        found += [(i, int(j), int(bits[j])) for j in np.flatnonzero(bits <= most_bits)]
    return sorted(found, key=lambda pair: (pair[2], pair[0], pair[1]))


def near_pairs_within(hashes: NDArray[np.uint8], most_bits: int) -> list[tuple[int, int, int]]:
    """The same inside one set: each pair once, the smaller index first."""
    return [(i, j, bits) for i, j, bits in near_pairs(hashes, hashes, most_bits) if i < j]
