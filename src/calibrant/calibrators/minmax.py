"""The whole range that was seen (TensorRT's IInt8MinMaxCalibrator)."""

from __future__ import annotations

from calibrant.core.statistics import TensorStatistics
from calibrant.core.types import QuantSpec, Range


def minmax(stats: TensorStatistics, spec: QuantSpec) -> Range:
    """Clip nothing: [-amax, amax], or [low, high] where the target stores asymmetric ranges.

    Raises EmptyStatisticsError when nothing was seen.
    """
    stats.require_values()
    if spec.symmetric:
        return Range(-stats.amax, stats.amax)
    return Range(stats.low, stats.high)


def clipped_to(threshold: float, stats: TensorStatistics, spec: QuantSpec) -> Range:
    """The range that keeps magnitudes up to ``threshold``.

    Symmetric targets take ±threshold as it is (TensorRT's entropy may choose slightly more than the
    largest value seen); asymmetric ones never reach beyond what was seen on either side.
    """
    if spec.symmetric:
        return Range(-threshold, threshold)
    low, high = (max(-threshold, min(end, threshold)) for end in (stats.low, stats.high))
    return Range(low, high)
