"""What is read of a run's folder, which may be anybody's: its study.json, and the files that this names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from calibrant.core.errors import DataError
from calibrant.core.reading import is_regular
from calibrant.studies.result import StudyResult

_SECTIONS = ("model", "environment", "settings", "data", "baseline")


def require_study(content: Mapping[str, Any], path: Path) -> None:
    """Refuse a study.json without its sections and trials. Raises DataError."""
    lacking = [name for name in _SECTIONS if not isinstance(content.get(name), Mapping)]
    trials = content.get("trials")
    if not isinstance(trials, list) or not all(map(_is_trial, trials)):
        lacking.append("trials")
    if not isinstance(content.get("recommended", {}), Mapping | None):
        lacking.append("recommended")
    if lacking:
        raise DataError(f"{path} is no study: {', '.join(lacking)} missing or damaged; run the study again")


def require_inside(folder: Path, name: str) -> None:
    """Refuse a file that study.json names and that is not in the run's folder. Raises DataError."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\0" in name or "\\" in name:
        raise DataError(f"study.json of {folder} names a file outside of it, {name!r}; run the study again")


def written_files(result: StudyResult, folder: Path) -> tuple[str, ...]:
    """The files in ``folder`` that a study's result names, with weights that lie beside their model."""
    named = [result.baseline.evidence]
    for trial in result.trials:
        named += [*asdict(trial.files).values()] if trial.files else []
    names = dict.fromkeys(name for name in named if name)
    beside = (f"{name}.data" for name in names)
    return tuple(name for name in (*names, *beside) if is_regular(folder / name))


@contextmanager
def read_as_written(folder: Path) -> Iterator[None]:
    """Say in one line that a run's files do not fit together, whatever that makes of those who read them.

    Raises DataError.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        raise DataError(
            f"{folder} holds a file that is not as Calibrant writes it "
            f"({type(error).__name__}: {error!s:.100}); run the study, or what wrote the file, again"
        ) from error


def _is_trial(trial: object) -> bool:
    if not isinstance(trial, Mapping) or not isinstance(trial.get("calibrator"), str):
        return False
    files = trial.get("files") or {}
    return isinstance(files, Mapping) and all(isinstance(name, str | None) for name in files.values())
