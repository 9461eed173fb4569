"""From statistics to encodings: what one calibrator chooses for every tensor."""

from __future__ import annotations

from collections.abc import Mapping

from calibrant.calibrators import NamedCalibrator
from calibrant.core.errors import CalibrantError, NumericsError, SettingsError
from calibrant.core.quantize import encoding_of
from calibrant.core.statistics import TensorStatistics
from calibrant.core.types import Encoding, QuantSpec, Range, Statistics


def ranges_from(
    statistics: Statistics, calibrator: NamedCalibrator, spec: QuantSpec, ties: Mapping[str, str]
) -> dict[str, Range]:
    """Choose a range for every tensor.

    ``ties`` names for a tensor the one whose range it takes (TensorRT: a pooling output takes its
    input's); they are kept by calibrators that TensorRT ties.
    Raises SettingsError when a calibrator fails, and NumericsError when its range is not finite.
    """
    own = {
        tensor: _range_of(tensor, stats, calibrator, spec)
        for tensor, stats in statistics.tensors.items()
        if not (calibrator.pool_ties and ties.get(tensor) in statistics.tensors)
    }
    return {
        tensor: own[_source(tensor, ties, own)] if calibrator.pool_ties else own[tensor]
        for tensor in statistics.tensors
    }


def encodings_from(ranges: Mapping[str, Range], spec: QuantSpec) -> dict[str, Encoding]:
    """Encode every range under one spec."""
    return {tensor: encoding_of(chosen, spec) for tensor, chosen in ranges.items()}


def _source(tensor: str, ties: Mapping[str, str], own: Mapping[str, Range]) -> str:
    while tensor not in own:
        tensor = ties[tensor]
    return tensor


def _range_of(tensor: str, stats: TensorStatistics, calibrator: NamedCalibrator, spec: QuantSpec) -> Range:
    try:
        chosen = calibrator.calibrate(stats, spec)
        low, high = float(chosen.low), float(chosen.high)
    except CalibrantError:
        raise
    except Exception as error:  # a user's calibrator may raise anything: it costs one trial
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise SettingsError(f"calibrator {calibrator.name} failed on {tensor!r}: {words}") from error
    if not (-float("inf") < low <= high < float("inf")):
        raise NumericsError(f"calibrator {calibrator.name} gave {tensor!r} the range [{low}, {high}]")
    return Range(low, high)
