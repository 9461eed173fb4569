"""Which part of a study of several is to be diagnosed: each part is a run of its own."""

from __future__ import annotations

from pathlib import Path

from calibrant.core.errors import DataError, SettingsError
from calibrant.core.progress import Progress
from calibrant.studies.result import PartSummary, StudyResult
from calibrant.studies.runs import load_run


def diagnosed_part(
    folder: Path, losing: str | None, winning: str | None, progress: Progress
) -> tuple[Path, str | None, str | None]:
    """The run to diagnose in place of ``folder``, and its candidates by the names that they have there.

    The part of a candidate that is named as in the whole's table, or else the one that costs most. Raises
    DataError for a folder without a study, SettingsError for candidates of different parts.
    """
    result = load_run(folder).result
    parts = [part for part in result.parts if part.folder]
    if not parts:
        return folder, losing, winning
    named = {part.name for name in (losing, winning) if name and (part := _part_of(name, parts))}
    if len(named) > 1:
        raise SettingsError(
            f"{losing} and {winning} are of different parts; a part's candidates are compared with each other"
        )
    part = next((part for part in parts if part.name in named), None) or _costliest(result, parts)
    if not named:
        others = " or ".join(f"{other.name}/CALIBRATOR" for other in parts if other is not part)
        told = f"; for another part name its candidate, e.g. {others}" if others else ""
        progress.note(f"{part.name} costs most, and is diagnosed{told}")
    return folder / str(part.folder), _within(losing, part), _within(winning, part)


def _part_of(name: str, parts: list[PartSummary]) -> PartSummary | None:
    return next((part for part in parts if name.startswith(f"{part.name}/")), None)


def _costliest(result: StudyResult, parts: list[PartSummary]) -> PartSummary:
    known = [part for part in parts if (part.saved or part.loss) is not None]
    if not known:
        raise DataError(f"{result.out} has measured no part; see {result.out}/{parts[0].folder}")
    return max(known, key=lambda part: (part.saved or part.loss).value)  # type: ignore[union-attr]


def _within(name: str | None, part: PartSummary) -> str | None:
    """A candidate's name in its part's run; the whole's own ("all parts") have none."""
    prefix = f"{part.name}/"
    return name.removeprefix(prefix) if name and name.startswith(prefix) else None
