"""Which samples? The smallest subset found that covers everything wanted: greedy set cover."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def greedy_cover(covers: NDArray[np.bool_]) -> list[tuple[int, NDArray[np.int64]]]:
    """Choose samples until everything that any sample covers is covered.

    covers: bool (N, W), whether each of N samples covers each of W wanted things. Returns the chosen samples,
    in the order of choice, each with the things that it is the first to cover. Every choice covers most of
    what is left; of equals the first sample in order is taken. The result is at most ln(W) + 1 times as large
    as the smallest cover. Source: D. Johnson, Approximation algorithms for combinatorial problems, 1974.
    """
    left = covers.copy()
    chosen: list[tuple[int, NDArray[np.int64]]] = []
    while left.any():
        best = int(left.sum(axis=1).argmax())
        added = np.flatnonzero(left[best])
        chosen.append((best, added))
        left[:, added] = False
    return chosen


def reaches(values: NDArray[np.float32], quantile: float, slack: float) -> NDArray[np.bool_]:
    """Which samples nearly reach the end of each tensor's range: bool (N, T).

    values: float32 (N, T), each sample's largest value of each tensor (for the lower end: of the negated
    values). The end is the ``quantile`` of the samples' values, so that no single outlier has to be taken,
    and reached from ``slack`` of it on (a fraction). Where no sample exceeds zero there is nothing to reach.
    """
    ends = np.quantile(values, quantile, axis=0, method="lower")
    return (values >= slack * ends) & (ends > 0)
