"""Ranges that keep a share of the magnitudes: percentiles, and TensorRT's Legacy calibrator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibrant.calibrators.minmax import clipped_to
from calibrant.core.errors import SettingsError
from calibrant.core.statistics import TensorStatistics
from calibrant.core.types import Calibrator, QuantSpec, Range

TENSORRT_BINS = 2048


def percentile(percent: float) -> Calibrator:
    """Make the calibrator that keeps ``percent`` % of the magnitudes, e.g. 99.99.

    The threshold is interpolated linearly inside its histogram bin and never above the largest
    magnitude seen. Raises SettingsError when ``percent`` is not above 0 and at most 100.
    """
    if not 0 < percent <= 100:
        raise SettingsError(f"a percentile of {percent:g} keeps nothing sensible; use e.g. percentile:99.99")

    def calibrate(stats: TensorStatistics, spec: QuantSpec) -> Range:
        stats.require_values()
        width = stats.histogram.limit / len(stats.histogram.counts)
        cumulative = np.cumsum(stats.histogram.counts)
        wanted = percent / 100 * cumulative[-1]
        index = _bin_reaching(cumulative, wanted)
        below = cumulative[index - 1] if index else 0
        inside = (wanted - below) / (cumulative[index] - below)
        threshold = min(float((index + inside) * width), stats.amax)
        return clipped_to(threshold, stats, spec)

    return calibrate


def legacy(quantile: float = 0.9999) -> Calibrator:
    """Make TensorRT's IInt8LegacyCalibrator with ``regression_cutoff`` 1.

    The threshold is the upper edge of the 2048-bin histogram's bin in which the cumulative count of
    |x| reaches ``quantile``. Measured on TensorRT 8.5.1.7; the regression that a cutoff below 1 asks
    for is unpublished and not offered. Raises SettingsError when quantile is not in (0, 1].
    """
    if not 0 < quantile <= 1:
        raise SettingsError(f"a quantile of {quantile:g} is not in (0, 1]; use e.g. legacy:0.9999")

    def calibrate(stats: TensorStatistics, spec: QuantSpec) -> Range:
        stats.require_values()
        cumulative = np.cumsum(stats.histogram.coarse(TENSORRT_BINS))
        index = _bin_reaching(cumulative, quantile * cumulative[-1])
        threshold = (index + 1) * stats.histogram.limit / TENSORRT_BINS
        return clipped_to(threshold, stats, spec)

    return calibrate


def _bin_reaching(cumulative: NDArray[np.int64], wanted: float) -> int:
    return min(int(np.searchsorted(cumulative, wanted, side="left")), len(cumulative) - 1)
