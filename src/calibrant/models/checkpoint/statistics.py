"""What is remembered of the inputs that products share."""

from __future__ import annotations

from dataclasses import dataclass

from calibrant.core.statistics import TensorStatistics
from calibrant.core.types import FloatArray


@dataclass(frozen=True)
class Wanted:
    """Which statistics the candidates need: of what none needs nothing is computed."""

    moments: bool = False
    histograms: bool = False
    caches: bool = False


@dataclass(frozen=True)
class InputStatistics:
    """Of the inputs that several products share, over the real tokens of the calibration set.

    amax, mean_magnitude: by channel, (inputs,). moments: the mean of the tokens' outer products,
    (inputs, inputs), None where not wanted. values: of all channels together, None where not wanted.
    """

    tokens: int
    amax: FloatArray
    mean_magnitude: FloatArray
    moments: FloatArray | None = None
    values: TensorStatistics | None = None
