"""The range of least squared error: what clipping and rounding lose together."""

from __future__ import annotations

import numpy as np

from calibrant.calibrators.minmax import clipped_to
from calibrant.core.statistics import TensorStatistics
from calibrant.core.types import QuantSpec, Range

# Thresholds tried: amax * 2**(-k/16) down to amax / 1024, then 32 between the best one's neighbours.
_COARSE = 2.0 ** (-np.arange(161) / 16)
_FINE_STEPS = 33


def mse(stats: TensorStatistics, spec: QuantSpec) -> Range:
    """Minimise the expected squared error of quantizing the values seen.

    Values are taken as uniform inside each histogram bin, for which the error is integrated exactly.
    Raises EmptyStatisticsError when nothing was seen.
    """
    from calibrant.calibrators.kernels import squared_errors

    stats.require_values()
    if stats.amax == 0:
        return Range(0.0, 0.0)
    levels = spec.qmax if spec.symmetric else _levels_used(stats, spec)
    coarse = stats.amax * _COARSE
    best = int(np.argmin(squared_errors(stats.histogram.counts, stats.histogram.limit, coarse, levels)))
    low, high = coarse[min(best + 1, len(coarse) - 1)], coarse[max(best - 1, 0)]
    fine = np.linspace(high, low, _FINE_STEPS)
    errors = squared_errors(stats.histogram.counts, stats.histogram.limit, fine, levels)
    return clipped_to(float(fine[int(np.argmin(errors))]), stats, spec)


def _levels_used(stats: TensorStatistics, spec: QuantSpec) -> float:
    """Steps between zero and the threshold, when the integers are spread over [low, high] with zero."""
    span = max(stats.high, 0.0) - min(stats.low, 0.0)
    return (spec.qmax - spec.qmin) * stats.amax / span
