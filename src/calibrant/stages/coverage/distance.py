"""Is a difference between two sets of samples more than chance? Nothing is assumed of distributions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibrant.stages.coverage.bins import BINS_PER_OCTAVE, HALF, LOWEST_EXPONENT

INT8_HALF_STEP = 1 / 256
"""Relative to a tensor's largest magnitude: what lies below rounds to zero in INT8."""


def js_distance(first: NDArray[np.int64], second: NDArray[np.int64], amax: float) -> float:
    """The Jensen-Shannon distance of two histograms (BINS,): 0 for equal ones, 1 for disjoint ones.

    The square root of the divergence to base 2. Magnitudes below ``amax / 256``, half an INT8 step, count as
    one bin: how they differ is lost in INT8 anyway. 0 where either histogram is empty.
    Source: D. Endres and J. Schindelin, A new metric for probability distributions, 2003.
    """
    if first.sum() == 0 or second.sum() == 0:
        return 0.0
    p, q = (_visible(counts, amax) / counts.sum() for counts in (first, second))
    mean = (p + q) / 2
    divergence = (_relative_entropy(p, mean) + _relative_entropy(q, mean)) / 2
    return float(np.sqrt(max(divergence, 0.0)))


def exceedance_probability(seen: int, new: int, exceeding: int) -> float:
    """How probable it is that ``exceeding`` or more of ``new`` samples exceed the largest of ``seen`` ones.

    It holds for any distribution, as long as both sets come from the same one: the product over
    i < exceeding of (new - i) / (seen + new - i). One new sample exceeds with probability 1 / (seen + 1).
    Source: E. Gumbel and H. von Schelling, The distribution of the number of exceedances, 1950.
    """
    i = np.arange(exceeding)
    return float(np.prod((new - i) / (seen + new - i)))


def _relative_entropy(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    there = p > 0
    return float((p[there] * np.log2(p[there] / q[there])).sum())


def _visible(counts: NDArray[np.int64], amax: float) -> NDArray[np.float64]:
    """The histogram with all magnitudes below half an INT8 step in the first bin."""
    merged = counts.astype(np.float64).reshape(2, HALF)
    smallest = amax * INT8_HALF_STEP
    octaves = np.log2(smallest) - LOWEST_EXPONENT if smallest > 0 else 0.0
    first = int(np.clip(octaves * BINS_PER_OCTAVE, 1, HALF))
    merged[0, 0] += merged[0, 1:first].sum() + merged[1, :first].sum()
    merged[0, 1:first] = merged[1, :first] = 0.0
    return merged.reshape(-1)
