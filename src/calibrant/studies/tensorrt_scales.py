"""What TensorRT's own caches hold: scales of all its tensors, also of those that no run shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from calibrant.core.formats import INT8
from calibrant.core.statistics import statistics_of
from calibrant.core.types import Range, Statistics
from calibrant.targets.tensorrt.tensors import CalibratedTensors

LARGEST_INTEGER = int(INT8.highest)
SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)


def with_unobserved(statistics: Statistics, calibrated: CalibratedTensors) -> Statistics:
    """Add the tensors that need no run: constants, and those that repeat an observed tensor's values."""
    repeated = {
        tensor: statistics.tensors[source]
        for tensor, source in calibrated.sources.items()
        if source in statistics.tensors
    }
    constants = {tensor: statistics_of(values) for tensor, values in calibrated.constants.items()}
    return replace(statistics, tensors={**statistics.tensors, **repeated, **constants})


def tensorrt_scales(
    statistics: Statistics, ranges: Mapping[str, Range], tensors: Iterable[str]
) -> dict[str, float]:
    """The symmetric INT8 scales of ``tensors``, as far as they have a range: real units per step.

    As in TensorRT, a tensor in which only zeros were seen has scale 0; subnormal numbers count as zeros.
    """
    return {
        tensor: ranges[tensor].amax / LARGEST_INTEGER
        if statistics.tensors[tensor].amax >= SMALLEST_NORMAL
        else 0.0
        for tensor in tensors
        if tensor in ranges
    }
