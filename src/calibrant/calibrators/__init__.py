"""Strategies that turn a tensor's statistics into a range; pure functions, one strategy a file."""

from calibrant.calibrators.entropy import entropy2
from calibrant.calibrators.minmax import minmax
from calibrant.calibrators.mse import mse
from calibrant.calibrators.percentile import legacy, percentile
from calibrant.calibrators.registry import (
    CALIBRATORS,
    DEFAULT_CALIBRATORS,
    NamedCalibrator,
    calibrator_named,
    calibrators_named,
    distinct,
    installed_calibrators,
    known_calibrators,
)

__all__ = [
    "CALIBRATORS",
    "DEFAULT_CALIBRATORS",
    "NamedCalibrator",
    "calibrator_named",
    "calibrators_named",
    "distinct",
    "entropy2",
    "installed_calibrators",
    "known_calibrators",
    "legacy",
    "minmax",
    "mse",
    "percentile",
]
