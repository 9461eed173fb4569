"""A histogram of magnitudes that grows and merges exactly.

16384 equal bins over [0, limit], where ``limit`` is the anchor (the largest magnitude of the first
sample) doubled as often as a later value exceeded it. Doubling merges neighbouring bins in pairs, which
loses no count, so the same values give the same histogram in whatever order or sharding they come, as
long as the anchor is the same. Eight neighbouring bins make one of TensorRT's 2048.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

BINS = 16384
# Below it the reciprocal of a bin's width is no float32; such magnitudes share the first bins.
SMALLEST_ANCHOR = 2.0**-100
# Taken where the first sample is all zero: small against any activation, and doubled when needed.
ANCHOR_OF_ZEROS = 2.0**-24


@dataclass(frozen=True)
class Histogram:
    """Counts of |x| per bin.

    counts: int64 (16384,); bin b holds magnitudes in [b, b + 1) * limit / 16384, the last one also
    ``limit`` itself. anchor and limit are float32 values in real units, ``limit = anchor * 2**k``;
    both are 0 as long as only zeros were seen.
    """

    counts: NDArray[np.int64]
    anchor: float
    limit: float

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def doubled(self) -> Histogram:
        """The same values over twice the range."""
        counts = np.zeros_like(self.counts)
        counts[: BINS // 2] = self.counts.reshape(-1, 2).sum(axis=1)
        return replace(self, counts=counts, limit=self.limit * 2)

    def covering(self, amax: float) -> Histogram:
        """The same values over a range doubled until it holds ``amax``."""
        grown = self
        while amax > grown.limit > 0:
            grown = grown.doubled()
        return grown

    def merge(self, other: Histogram) -> Histogram:
        """Add two histograms of the same anchor; exact, commutative and associative.

        Raises ValueError where both saw values other than zero under different anchors.
        """
        if self.anchor == 0 or other.anchor == 0:
            grown, zeros = (other, self) if self.anchor == 0 else (self, other)
            return replace(grown, counts=grown.counts + zeros.counts)
        if self.anchor != other.anchor:
            raise ValueError(f"histograms with anchors {self.anchor} and {other.anchor} do not merge exactly")
        limit = max(self.limit, other.limit)
        left, right = self.covering(limit), other.covering(limit)
        return replace(left, counts=left.counts + right.counts)

    def coarse(self, bins: int) -> NDArray[np.int64]:
        """The counts in ``bins`` equal bins over the same range; ``bins`` divides 16384."""
        merged: NDArray[np.int64] = self.counts.reshape(bins, -1).sum(axis=1)
        return merged


def empty(anchor: float = 0.0) -> Histogram:
    """A histogram that has seen nothing; ``anchor`` > 0 fixes its bins beforehand."""
    anchor = anchor_of(anchor) if anchor > 0 else 0.0
    return Histogram(np.zeros(BINS, np.int64), anchor, anchor)


def anchor_of(amax: float) -> float:
    """The anchor that a first sample with this largest magnitude (> 0) gives."""
    return max(float(np.float32(amax)), SMALLEST_ANCHOR)
