"""What is remembered of a tensor: enough for every calibrator, and mergeable without loss.

One streaming pass feeds :class:`Accumulator`; memory is one histogram a tensor, however many samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.core import histogram as histograms
from calibrant.core.cells import CELLS, KEY_ABOVE_ALL, KEY_BELOW_ALL, float_of_key
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
        self._cells = np.zeros(CELLS, np.int64)
        self._anchor = self._limit = histograms.empty(anchor).anchor
        self._keys = np.array([KEY_ABOVE_ALL, KEY_BELOW_ALL], np.int64)
        self._fullest = 0

    def fix_anchor(self) -> float:
        """The anchor that other accumulators need to merge with this one exactly.

        Where only zeros were seen it becomes a fixed small number.
        """
        if self._anchor == 0:
            self._anchor = self._limit = histograms.ANCHOR_OF_ZEROS
        return self._anchor

    @property
    def is_anchored(self) -> bool:
        """Whether the bins are fixed: a value other than zero was seen, or an anchor given."""
        return self._anchor > 0

    @property
    def has_values(self) -> bool:
        """Whether anything was seen."""
        return bool(self._keys[0] <= self._keys[1])

    def observe(self, *parts: NDArray[np.float32]) -> None:
        """Add all values of one sample, in one or several arrays of any shape.

        Raises NumericsError when one is NaN or infinite.
        """
        flat = [np.ascontiguousarray(part, np.float32).reshape(-1) for part in parts]
        is_first = not self.has_values
        if not self.is_anchored:
            self._grow_to(max((float(np.abs(part).max(initial=0)) for part in flat), default=0.0), flat)
        for part in flat:
            self._count(part)
        if is_first:  # Only a guess that makes counting fast, so not worth a search every sample.
            self._fullest = int(self._cells.argmax())

    def statistics(self) -> TensorStatistics:
        """What has been seen so far. Raises EmptyStatisticsError before the first value."""
        if not self.has_values:
            raise EmptyStatisticsError("a tensor was never seen; calibrate with at least one sample")
        frozen = Histogram(self._cells[: histograms.BINS].copy(), self._anchor, self._limit)
        low, high = (float_of_key(int(key)) for key in self._keys)
        return TensorStatistics(frozen, low, high)

    def _count(self, flat: NDArray[np.float32]) -> None:
        """Count a part, doubling the limit whenever a value exceeds it."""
        from calibrant.core.kernels import count_magnitudes, lower_edge_values

        position = 0
        while position < flat.size:
            begun, limit = position, np.float32(self._limit)
            position = count_magnitudes(flat, begun, limit, self._fullest, self._cells, self._keys)
            if self._limit > self._anchor:
                lower_edge_values(flat[begun:position], np.float32(self._anchor), limit, self._cells)
            if position < flat.size:
                self._grow_to(float_of_key(int(max(-self._keys[0], self._keys[1]))), [flat])

    def _grow_to(self, amax: float, parts: list[NDArray[np.float32]]) -> None:
        if not np.isfinite(amax):
            bad = sum(int((~np.isfinite(part)).sum()) for part in parts)
            raise NumericsError(f"{bad} of {sum(part.size for part in parts)} values are NaN or infinite")
        if amax > 0 and self._anchor == 0:
            self._anchor = self._limit = histograms.anchor_of(amax)
        elif amax > self._limit:
            seen = Histogram(self._cells[: histograms.BINS], self._anchor, self._limit)
            grown = seen.covering(amax)
            self._cells[: histograms.BINS], self._limit = grown.counts, grown.limit
            self._fullest = int(self._cells.argmax())


def statistics_of(values: NDArray[np.float32], anchor: float = 0.0) -> TensorStatistics:
    """Statistics of a single array (any shape)."""
    accumulator = Accumulator(anchor)
    accumulator.observe(values)
    return accumulator.statistics()
