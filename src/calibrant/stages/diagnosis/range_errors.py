"""What a range does to the values seen: clipping and rounding apart, from a histogram of magnitudes.

A histogram does not know signs. Calibrators cut magnitudes at one threshold, the range's larger side; so do
these formulas. Values are taken as uniform inside each bin, over which every error is integrated exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.core.statistics import TensorStatistics
from calibrant.core.types import Encoding

TAIL_QUANTILE = 0.999


@dataclass(frozen=True)
class QuantizationError:
    """Shares are fractions 0..1; powers are sums of squares over all values, real units squared.

    clipped: share of the values beyond the threshold. dead_levels: share of the integers that no value is
    rounded to (at least; where a magnitude occurs, either sign may).
    """

    clipped: float
    signal: float
    clipping: float
    rounding: float
    dead_levels: float

    @property
    def clipping_share(self) -> float:
        """The share of the squared error that clipping makes."""
        total = self.clipping + self.rounding
        return self.clipping / total if total > 0 else 0.0


@dataclass(frozen=True)
class Shape:
    """How a tensor's magnitudes are spread; see studies.diagnosis.result.TensorDiagnosis."""

    kurtosis: float
    tail: float


def quantization_error(stats: TensorStatistics, encoding: Encoding) -> QuantizationError:
    """The error of storing the values seen under a per-tensor encoding.

    With threshold T (the larger side of what the encoding can hold) and step s, a magnitude m gives
    (m - T)^2 where m > T, and (m/s - round(m/s))^2 s^2 elsewhere.
    """
    from calibrant.calibrators.kernels import squared_errors

    histogram = stats.require_values().histogram
    if stats.amax == 0:
        return QuantizationError(0.0, 0.0, 0.0, 0.0, 1 - 1 / _integers(encoding))
    step = float(encoding.scale)
    threshold = max(abs(bound) for bound in bounds_of(encoding))
    edges = np.linspace(0.0, histogram.limit, histogram.counts.size + 1)
    beyond = np.maximum(edges - threshold, 0.0)
    clipping = _moment(histogram.counts, beyond, 2, edges[1])
    both = squared_errors(histogram.counts, histogram.limit, np.array([threshold]), threshold / step)
    return QuantizationError(
        clipped=float(np.dot(histogram.counts, np.diff(beyond)) / edges[1] / stats.count),
        signal=_moment(histogram.counts, edges, 2, edges[1]),
        clipping=clipping,
        rounding=max(float(both[0]) - clipping, 0.0),
        dead_levels=_dead_levels(stats, encoding, edges),
    )


def shape_of(stats: TensorStatistics) -> Shape | None:
    """Kurtosis about zero and the tail's reach; None where only zeros were seen."""
    if stats.require_values().amax == 0:
        return None
    counts = stats.histogram.counts
    edges = np.linspace(0.0, stats.histogram.limit, counts.size + 1)
    second, fourth = (_moment(counts, edges, power, edges[1]) / stats.count for power in (2, 4))
    seen = np.cumsum(counts) / stats.count
    quantile = float(edges[1 + np.searchsorted(seen, TAIL_QUANTILE)])
    return Shape(fourth / second**2, max(stats.amax / quantile, 1.0))


def bounds_of(encoding: Encoding) -> tuple[float, float]:
    """The smallest and largest real value that a per-tensor encoding holds; symmetric ones end at qmax."""
    spec, scale, zero = encoding.spec, float(encoding.scale), int(encoding.zero_point)
    high = (spec.qmax - zero) * scale
    return (-high if spec.symmetric else (spec.qmin - zero) * scale), high


def decibels(signal: float, noise: float) -> float | None:
    """Signal-to-noise ratio, 10 log10(signal / noise); None where one of them is zero."""
    return float(10 * np.log10(signal / noise)) if signal > 0 and noise > 0 else None


def _integers(encoding: Encoding) -> int:
    return encoding.spec.qmax - encoding.spec.qmin + 1


def _moment(counts: NDArray[np.int64], edges: NDArray[np.float64], power: int, width: np.float64) -> float:
    """Sum of x**power over values uniform in bins of ``width``; edges (B + 1,) are x where bins meet."""
    above = edges.copy()
    for _ in range(power):  # far quicker than a power
        above *= edges
    return float(np.dot(counts, np.diff(above)) / (power + 1) / width)


def _dead_levels(stats: TensorStatistics, encoding: Encoding, edges: NDArray[np.float64]) -> float:
    """One minus the share of integers used: of each sign as far as values of that sign reach."""
    spec, step, zero = encoding.spec, float(encoding.scale), int(encoding.zero_point)
    above = min(round(max(stats.high, 0.0) / step), spec.qmax - zero)
    below = min(round(max(-stats.low, 0.0) / step), zero - spec.qmin)
    largest = max(above, below)
    filled = np.flatnonzero(stats.histogram.counts)
    first = np.minimum(np.floor(edges[filled] / step + 0.5).astype(np.int64), largest)
    last = np.minimum(np.ceil(edges[filled + 1] / step - 0.5).astype(np.int64), largest)
    changes = np.bincount(first, minlength=largest + 2) - np.bincount(last + 1, minlength=largest + 2)
    is_used = np.cumsum(changes)[: largest + 1] > 0
    used = int(is_used[0]) + int(is_used[1 : above + 1].sum()) + int(is_used[1 : below + 1].sum())
    return 1 - used / _integers(encoding)
