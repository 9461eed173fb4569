"""What is remembered of a tensor: enough for every calibrator, and mergeable without loss.

One streaming pass feeds :class:`Accumulator`; memory is one histogram a tensor, however many samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.core import histogram as histograms
from calibrant.core.errors import EmptyStatisticsError, NumericsError
from calibrant.core.histogram import Histogram


@dataclass(frozen=True)
class TensorStatistics:
    """Statistics of one tensor over all samples, real units.

    histogram: of magnitudes; low, high: the smallest and largest signed value seen.
    """

    histogram: Histogram
    low: float
    high: float

    @property
    def amax(self) -> float:
        """The largest magnitude seen."""
        return max(abs(self.low), abs(self.high))

    @property
    def count(self) -> int:
        """How many values were seen."""
        return self.histogram.total

    def merge(self, other: TensorStatistics) -> TensorStatistics:
        """Statistics of both sets of samples together; the anchors must agree (Histogram.merge)."""
        return TensorStatistics(
            self.histogram.merge(other.histogram), min(self.low, other.low), max(self.high, other.high)
        )

    def require_values(self) -> TensorStatistics:
        """These statistics, or EmptyStatisticsError when nothing was seen."""
        if self.count == 0:
            raise EmptyStatisticsError("a tensor was never seen; calibrate with at least one sample")
        return self


class Accumulator:
    """Collects one tensor's statistics, sample by sample."""

    def __init__(self, anchor: float = 0.0) -> None:
        seed = histograms.empty(anchor)
        self._counts, self._anchor, self._limit = seed.counts, seed.anchor, seed.limit
        self._low, self._high = np.inf, -np.inf

    def fix_anchor(self) -> float:
        """The anchor that other accumulators need to merge with this one exactly.

        Where only zeros were seen it becomes a fixed small number, so that it depends on the first sample
        alone.
        """
        if self._anchor == 0:
            self._anchor = self._limit = histograms.ANCHOR_OF_ZEROS
        return self._anchor

    @property
    def has_values(self) -> bool:
        """Whether anything was seen."""
        return self._low <= self._high

    def observe(self, values: NDArray[np.float32]) -> None:
        """Add all values of one sample. Raises NumericsError when one is NaN or infinite."""
        from calibrant.core.kernels import count_magnitudes, extremes

        flat = np.ascontiguousarray(values, np.float32).reshape(-1)
        if flat.size == 0:
            return
        low, high = extremes(flat)
        if not (np.isfinite(low) and np.isfinite(high)):
            raise NumericsError(
                f"{int((~np.isfinite(flat)).sum())} of {flat.size} values are NaN or infinite"
            )
        self._low, self._high = min(self._low, low), max(self._high, high)
        self._make_room_for(max(abs(low), abs(high)))
        count_magnitudes(flat, np.float32(self._anchor), np.float32(self._limit), self._counts)

    def statistics(self) -> TensorStatistics:
        """What has been seen so far. Raises EmptyStatisticsError before the first value."""
        frozen = Histogram(self._counts.copy(), self._anchor, self._limit)
        return TensorStatistics(frozen, float(self._low), float(self._high)).require_values()

    def _make_room_for(self, amax: float) -> None:
        if amax == 0:
            return
        if self._anchor == 0:
            self._anchor = self._limit = histograms.anchor_of(amax)
        if amax > self._limit:
            grown = Histogram(self._counts, self._anchor, self._limit).covering(amax)
            self._counts, self._limit = grown.counts, grown.limit


def statistics_of(values: NDArray[np.float32], anchor: float = 0.0) -> TensorStatistics:
    """Statistics of a single array (any shape)."""
    accumulator = Accumulator(anchor)
    accumulator.observe(values)
    return accumulator.statistics()
