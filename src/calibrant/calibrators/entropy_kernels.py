"""The search of the entropy calibrators, compiled by numba on first use."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

LEVELS = 128


def bins_of_least_divergence(counts: NDArray[np.int64]) -> int:
    """How many of the histogram's bins to keep, LEVELS..len(counts).

    counts: int64 (2048,), of magnitudes. The zero bin is overwritten by its neighbour first. A candidate
    keeps bins [0, i): P is these with everything beyond added to the last, Q spreads each of 128
    groups of the *raw* kept bins evenly over the group's non-zero bins, and KL(P || Q) is least.
    On equal divergence the larger i wins; where no candidate qualifies all bins are kept.
    """
    bins = counts.astype(np.float64)
    bins[0] = bins[1]
    return int(_search(bins))


@njit(cache=True, nogil=True, error_model="numpy")
def _search(bins: NDArray[np.float64]) -> int:
    size = bins.size
    mass = np.zeros(size + 1)
    filled = np.zeros(size + 1, np.int64)
    plogp = np.zeros(size + 1)
    for j in range(size):
        mass[j + 1] = mass[j] + bins[j]
        filled[j + 1] = filled[j] + (1 if bins[j] > 0 else 0)
        plogp[j + 1] = plogp[j] + (bins[j] * math.log(bins[j]) if bins[j] > 0 else 0.0)
    best, best_divergence = size, np.inf
    for kept in range(LEVELS, size + 1):
        if filled[kept] < 2:
            continue
        divergence = _divergence(bins, mass, filled, plogp, kept)
        if divergence <= best_divergence:
            best, best_divergence = kept, divergence
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def _divergence(
    bins: NDArray[np.float64],
    mass: NDArray[np.float64],
    filled: NDArray[np.int64],
    plogp: NDArray[np.float64],
    kept: int,
) -> float:
    """KL(P || Q) of one candidate, in nats.

    Q is constant over the non-zero bins of a group, so a group contributes mass * log(Q) once, and
    the sum of P log P comes from prefix sums: 128 logarithms a candidate instead of 2048.
    """
    total = mass[-1]
    outliers = total - mass[kept]
    last = bins[kept - 1]
    if last == 0 and outliers > 0:
        return np.inf  # P > 0 where Q = 0
    p_log_p = plogp[kept - 1] + (
        (last + outliers) * math.log(last + outliers) if last + outliers > 0 else 0.0
    )
    p_log_q = 0.0
    start = 0
    for group in range(LEVELS):
        end = ((group + 1) * kept + LEVELS - 1) // LEVELS
        inside = mass[end] - mass[start]
        if inside > 0:
            level = inside / (filled[end] - filled[start])
            weight = inside + (outliers if group == LEVELS - 1 else 0.0)
            p_log_q += weight * math.log(level)
        start = end
    return float((p_log_p - p_log_q) / total - math.log(total) + math.log(mass[kept]))
