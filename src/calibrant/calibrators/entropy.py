"""TensorRT's entropy calibrators: the threshold whose 128 levels lose the least information.

The rules were measured on TensorRT 8.5.1.7 (docs/tensorrt-calibrators.md); it documents none of them.
"""

from __future__ import annotations

from calibrant.calibrators.minmax import clipped_to
from calibrant.core.statistics import TensorStatistics
from calibrant.core.types import QuantSpec, Range

TENSORRT_BINS = 2048


def entropy2(stats: TensorStatistics, spec: QuantSpec) -> Range:
    """TensorRT's IInt8EntropyCalibrator2; IInt8EntropyCalibrator gives a tensor the same threshold.

    With i the number of kept bins of smallest KL divergence, the threshold is (i + 0.5) * limit / 2048:
    it can exceed the largest magnitude seen by up to half a bin.
    Raises EmptyStatisticsError when nothing was seen.
    """
    from calibrant.calibrators.kernels import bins_of_least_divergence

    stats.require_values()
    kept = bins_of_least_divergence(stats.histogram.coarse(TENSORRT_BINS))
    return clipped_to((kept + 0.5) * stats.histogram.limit / TENSORRT_BINS, stats, spec)
