"""From statistics to encodings: what one calibrator chooses for every tensor."""

from __future__ import annotations

from collections.abc import Mapping

from calibrant.calibrators import NamedCalibrator
from calibrant.core.errors import CalibrantError, NumericsError, SettingsError
from calibrant.core.quantize import encoding_of
from calibrant.core.statistics import TensorStatistics
from calibrant.core.types import Calibrator, Encoding, QuantSpec, Range, Statistics


def ranges_from(
    statistics: Statistics,
    calibrator: NamedCalibrator,
    spec: QuantSpec,
    ties: Mapping[str, str],
    known: dict[str, Range] | None = None,
) -> dict[str, Range]:
    """Choose a range for every tensor.

    ``ties`` names for a tensor the one whose range it takes (TensorRT: a pooling output takes its
    input's); they are kept by calibrators that TensorRT ties. ``known``: what the calibrator's function
    chose before, which it is not asked again; what it chooses now is added.
    Raises SettingsError when a calibrator fails, and NumericsError when its range is not finite.
    """
    known = {} if known is None else known
    own = {}
    for tensor, stats in statistics.tensors.items():
        if calibrator.pool_ties and ties.get(tensor) in statistics.tensors:
            continue
        if tensor not in known:
            known[tensor] = _range_of(tensor, stats, calibrator, spec)
        own[tensor] = known[tensor]
    return {
        tensor: own[_source(tensor, ties, own)] if calibrator.pool_ties else own[tensor]
        for tensor in statistics.tensors
    }


class RangeChoices:
    """What several calibrators choose for one model; those that share a function ask it once for each tensor.

    ties: as for :func:`ranges_from`.
    """

    def __init__(self, statistics: Statistics, spec: QuantSpec, ties: Mapping[str, str]) -> None:
        self._statistics, self._spec, self._ties = statistics, spec, ties
        self._asked: list[tuple[Calibrator, dict[str, Range]]] = []

    def of(self, calibrator: NamedCalibrator) -> dict[str, Range]:
        """One calibrator's ranges. Raises as ranges_from."""
        known = next((ranges for asked, ranges in self._asked if asked is calibrator.calibrate), None)
        if known is None:
            known = {}
            self._asked.append((calibrator.calibrate, known))
        return ranges_from(self._statistics, calibrator, self._spec, self._ties, known)


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
    except CalibrantError:
        raise
    except Exception as error:  # a user's calibrator may raise anything: it costs one trial
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise SettingsError(f"calibrator {calibrator.name} failed on {tensor!r}: {words}") from error
    low, high = _ends_of(chosen, tensor, calibrator.name)
    if not (-float("inf") < low <= high < float("inf")):
        raise NumericsError(f"calibrator {calibrator.name} gave {tensor!r} the range [{low}, {high}]")
    return Range(low, high)


def _ends_of(chosen: object, tensor: str, name: str) -> tuple[float, float]:
    """Both ends of what a calibrator returned, which of a user's may be anything."""
    try:
        return float(chosen.low), float(chosen.high)  # type: ignore[attr-defined]
    except (AttributeError, TypeError, ValueError) as error:
        shown = " ".join(repr(chosen).split())[:60]
        raise SettingsError(
            f"calibrator {name} returned {shown} for {tensor!r}, which is no range; return "
            "calibrant.Range(low, high)"
        ) from error
