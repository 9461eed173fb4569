"""What callers may give, and what the stages are given for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from calibrant.calibrators import NamedCalibrator, calibrators_named, distinct
from calibrant.core.errors import SettingsError
from calibrant.core.types import Calibrator

PathLike: TypeAlias = str | Path
Calibrators: TypeAlias = str | Calibrator | Iterable[str | Calibrator] | Mapping[str, Calibrator]


def chosen_calibrators(calibrators: Calibrators) -> tuple[NamedCalibrator, ...]:
    """Calibrators by name, or functions of the user's. Raises SettingsError."""
    if isinstance(calibrators, str):
        return calibrators_named(calibrators)
    if isinstance(calibrators, Mapping):
        return distinct(NamedCalibrator(name, function) for name, function in calibrators.items())
    if not isinstance(calibrators, Iterable):
        calibrators = (calibrators,)
    return distinct(entry for item in calibrators for entry in _entries(item))


def _entries(item: str | Calibrator) -> tuple[NamedCalibrator, ...]:
    if isinstance(item, str):
        return calibrators_named(item)
    if callable(item):
        return (NamedCalibrator(getattr(item, "__name__", type(item).__name__), item),)
    raise SettingsError(
        f"{item!r} is no calibrator; give names or functions (TensorStatistics, QuantSpec) -> Range"
    )


def node_patterns(keep_float: str | Sequence[str]) -> tuple[str, ...]:
    """One pattern of node names, or several."""
    return (keep_float,) if isinstance(keep_float, str) else tuple(keep_float)


def new_run_folder(stem: str) -> Path:
    """Where a run goes when the user names no folder: ``runs/<stem>-<time>``."""
    return Path("runs") / f"{stem}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
