"""What is remembered of a tensor: enough for every calibrator, and mergeable without loss.

One streaming pass feeds :class:`Accumulator`; memory is one histogram a tensor, however many samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.core import histogram as histograms
from calibrant.core.cells import CELLS, KEY_ABOVE_ALL, KEY_BELOW_ALL, MOST_COUNTED, float_of_key
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
        self._cells = np.zeros(CELLS, np.uint32)
        self._counted = 0  # values in the cells
        self._settled: Histogram | None = None  # what the cells held when they were full
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
        return self._counted > 0 or self._settled is not None

    def observe(self, *parts: NDArray[np.float32]) -> None:
        """Add all values of one sample, in one or several arrays of any shape.

        Raises NumericsError when one is NaN or infinite.
        """
        flat = [np.ascontiguousarray(part, np.float32).reshape(-1) for part in parts]
        is_first = not self.has_values
        if not self.is_anchored:
            self._grow_to(max((float(np.abs(part).max(initial=0)) for part in flat), default=0.0), flat)
        for part in flat:
            if self._counted + part.size <= MOST_COUNTED:
                self._count(part)
            else:
                self._count_beyond(part)
        if is_first:  # Only a guess that makes counting fast, so not worth a search every sample.
            self._fullest = int(self._cells.argmax())

    def statistics(self) -> TensorStatistics:
        """What has been seen so far. Raises EmptyStatisticsError before the first value."""
        if not self.has_values:
            raise EmptyStatisticsError("a tensor was never seen; calibrate with at least one sample")
        low, high = (float_of_key(int(key)) for key in self._keys)
        return TensorStatistics(self._histogram(), low, high)

    def _count(self, flat: NDArray[np.float32]) -> None:
        """Count a part, doubling the limit whenever a value exceeds it."""
        from calibrant.core.kernels import count_magnitudes

        self._counted += flat.size
        position, anchor = 0, np.float32(self._anchor)
        while position < flat.size:
            limit = np.float32(self._limit)
            position = count_magnitudes(flat, position, anchor, limit, self._fullest, self._cells, self._keys)
            if position < flat.size:
                self._grow_to(float_of_key(int(max(-self._keys[0], self._keys[1]))), [flat])

    def _count_beyond(self, flat: NDArray[np.float32]) -> None:
        """Count a part that the cells might not hold, emptying them before they overflow."""
        for begun in range(0, flat.size, MOST_COUNTED):
            self._settled = self._histogram()
            self._cells[:], self._counted = 0, 0
            self._count(flat[begun : begun + MOST_COUNTED])

    def _histogram(self) -> Histogram:
        fresh = Histogram(self._cells[: histograms.BINS].astype(np.int64), self._anchor, self._limit)
        return fresh if self._settled is None else self._settled.merge(fresh)

    def _grow_to(self, amax: float, parts: list[NDArray[np.float32]]) -> None:
        if not np.isfinite(amax):
            bad = sum(int((~np.isfinite(part)).sum()) for part in parts)
            raise NumericsError(f"{bad} of {sum(part.size for part in parts)} values are NaN or infinite")
        if amax > 0 and self._anchor == 0:
            self._anchor = self._limit = histograms.anchor_of(amax)
        elif amax > self._limit:
            seen = Histogram(self._cells[: histograms.BINS].astype(np.int64), self._anchor, self._limit)
            grown = seen.covering(amax)
            self._cells[: histograms.BINS], self._limit = grown.counts, grown.limit
            self._fullest = int(self._cells.argmax())


def statistics_of(values: NDArray[np.float32], anchor: float = 0.0) -> TensorStatistics:
    """Statistics of a single array (any shape)."""
    accumulator = Accumulator(anchor)
    accumulator.observe(values)
    return accumulator.statistics()
