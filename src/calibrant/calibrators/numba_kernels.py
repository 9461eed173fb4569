"""Searches that weigh every threshold: reference of _kernels.c, and what stands in for it."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

LEVELS = 128
# More than the prefix sums can be wrong by, less than candidates differ by.
ROUNDING = 1e-9


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
    divergences = np.full(size + 1, np.inf)
    for kept in range(LEVELS, size + 1):
        if filled[kept] >= 2:
            divergences[kept] = _divergence(bins, mass, filled, plogp, kept)
    return _last_of_the_least(bins, mass[-1], divergences)


@njit(cache=True, nogil=True, error_model="numpy")
def _last_of_the_least(bins: NDArray[np.float64], total: float, divergences: NDArray[np.float64]) -> int:
    """The largest candidate of least divergence, all of them when none qualifies.

    What the prefix sums' rounding could have reordered is computed again term by term, as TensorRT does.
    """
    nearly_least = divergences.min() + ROUNDING
    best, least = bins.size, np.inf
    if np.isinf(nearly_least):
        return best
    for kept in range(LEVELS, bins.size + 1):
        if divergences[kept] <= nearly_least:
            divergence = _divergence_term_by_term(bins, total, kept)
            if divergence <= least:
                best, least = kept, divergence
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def _divergence_term_by_term(bins: NDArray[np.float64], total: float, kept: int) -> float:
    """KL(P || Q) of a qualified candidate, in nats, added up bin by bin."""
    inside = bins[:kept].sum()
    divergence = 0.0
    start = 0
    for group in range(LEVELS):
        end = ((group + 1) * kept + LEVELS - 1) // LEVELS
        mass, filled = 0.0, 0
        for j in range(start, end):
            mass += bins[j]
            filled += 1 if bins[j] > 0 else 0
        for j in range(start, end):
            p = bins[j] + (total - inside if j == kept - 1 else 0.0)
            if p > 0:
                divergence += p / total * math.log(p / total / (mass / filled / inside))
        start = end
    return divergence


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
        reached, integral = -1, 0.0  # a bin, and the integral up to its lower edge
        for b in range(counts.size):
            if counts[b] == 0:
                continue
            low, high = b * width, (b + 1) * width
            inner = min(high, threshold)
            lost = 0.0
            if low < inner:
                before = integral if reached == b else _rounding_integral(low / step)
                reached, integral = b + 1, _rounding_integral(inner / step)
                lost += (integral - before) * step**3
            outer = max(low, threshold)
            if outer < high:
                lost += ((high - threshold) ** 3 - (outer - threshold) ** 3) / 3.0
            errors[t] += counts[b] * lost / width
    return errors
