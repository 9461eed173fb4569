"""The range of least squared error: what clipping and rounding lose together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibrant.calibrators.minmax import clipped_to
from calibrant.core.statistics import TensorStatistics
from calibrant.core.types import QuantSpec, Range

# Thresholds tried: amax * 2**(-k/16) down to amax / 1024, then 32 between the best one's neighbours.
_COARSE = 2.0 ** (-np.arange(161) / 16)
_FINE_STEPS = 33

# Every so many of the first are integrated before the others, to know which of those need not be.
_STRIDE = 16
# More than integrals and sums over bins are wrong by, relatively.
_ROUNDING = 1e-6


def mse(stats: TensorStatistics, spec: QuantSpec) -> Range:
    """Minimise the expected squared error of quantizing the values seen.

    Values are taken as uniform inside each histogram bin, for which the error is integrated exactly.
    Raises EmptyStatisticsError when nothing was seen.
    """
    stats.require_values()
    if stats.amax == 0:
        return Range(0.0, 0.0)
    levels = spec.qmax if spec.symmetric else _levels_used(stats, spec)
    coarse = stats.amax * _COARSE
    best = int(np.argmin(_errors_of_the_best(stats, coarse, levels)))
    low, high = coarse[min(best + 1, len(coarse) - 1)], coarse[max(best - 1, 0)]
    fine = np.linspace(high, low, _FINE_STEPS)
    return clipped_to(float(fine[int(np.argmin(_errors(stats, fine, levels)))]), stats, spec)


def _errors(stats: TensorStatistics, thresholds: NDArray[np.float64], levels: float) -> NDArray[np.float64]:
    from calibrant.calibrators.kernels import squared_errors

    return squared_errors(stats.histogram.counts, stats.histogram.limit, thresholds, levels)


def _errors_of_the_best(
    stats: TensorStatistics, thresholds: NDArray[np.float64], levels: float
) -> NDArray[np.float64]:
    """The error of each threshold (T,), infinite for most whose clipping alone exceeds another's error."""
    errors = np.full(len(thresholds), np.inf)
    errors[::_STRIDE] = _errors(stats, thresholds[::_STRIDE].copy(), levels)
    may_be_best = _least_clipped(stats, thresholds) <= errors.min() * (1 + _ROUNDING)
    may_be_best[::_STRIDE] = False  # they are known
    errors[may_be_best] = _errors(stats, thresholds[may_be_best], levels)
    return errors


def _least_clipped(stats: TensorStatistics, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most the squared error of clipping at each threshold t (T,): (x - t)**2 > x**2 / 9 beyond 1.5 t."""
    counts = stats.histogram.counts
    width = stats.histogram.limit / len(counts)
    squares = counts * (np.arange(len(counts)) * width) ** 2
    beyond = np.append(np.cumsum(squares[::-1])[::-1], 0.0)
    first = np.ceil(1.5 * thresholds / width).astype(np.int64)
    return beyond[np.minimum(first, len(counts))] / 9


def _levels_used(stats: TensorStatistics, spec: QuantSpec) -> float:
    """Steps between zero and the threshold, when the integers are spread over [low, high] with zero."""
    span = max(stats.high, 0.0) - min(stats.low, 0.0)
    return (spec.qmax - spec.qmin) * stats.amax / span
