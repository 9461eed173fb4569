"""A finished run is replaced by a finished run only, and by another one only where its user says so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from calibrant.artifacts.checksums import CHECKSUMS, is_sound, read_checksums
from calibrant.artifacts.store import STAGED, read_json, remove
from calibrant.core.errors import DataError, OutputError
from calibrant.studies.optimization.deliver import RECIPE
from calibrant.studies.optimization.run import RESULT as OPTIMIZATION
from calibrant.studies.request import REQUEST, StudyRequest, read_request
from calibrant.studies.run import RESULT

# What others wrote of the run that is replaced; whoever wants one of the new run makes it again.
_TOLD_OF_IT = ("report.html", "report.md", "report.pdf", "diagnosis.json")


def require_free(folder: Path, request: StudyRequest | None, overwrite: bool) -> None:
    """Refuse a folder that holds the result of another request. None: of any.

    Raises OutputError.
    """
    held = _result_in(folder)
    if held is None or overwrite or (request is not None and _is_of(folder, request)):
        return
    raise OutputError(
        f"{folder} holds another finished run ({_words_on(held)}); give another folder with --out, or "
        "--overwrite to have it replaced"
    )


@contextmanager
def place_for(folder: Path) -> Iterator[Path]:
    """Where a run's files are written: the folder, or beside the run that it holds until they are all there.

    Raises OutputError.
    """
    if _result_in(folder) is None:
        yield folder
        return
    staged = folder / STAGED
    staged.mkdir()
    try:
        yield staged
        _take_place(staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def place_of_inputs(folder: Path, name: str) -> Path:
    """Where what a run is made from is written: not over what a finished run in the folder was made from."""
    place, number = folder / name, 1
    while _result_in(folder) is not None and place.exists():
        number += 1
        place = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
    return place


def _result_in(folder: Path) -> Path | None:
    """The file of a finished run; the copy of its optimization that a study's folder may have is none."""
    if (folder / RESULT).is_file():
        return folder / RESULT
    is_optimized = (folder / OPTIMIZATION).is_file() and (folder / RECIPE).is_file()
    return folder / OPTIMIZATION if is_optimized else None


def _is_of(folder: Path, request: StudyRequest) -> bool:
    try:
        return read_request(folder).to_dict() == request.to_dict()
    except DataError:
        return False


def _words_on(result: Path) -> str:
    try:
        content = read_json(result)
        return f"{result.name} of {content['created']}, {Path(content['model']['path']).name}"
    except (DataError, LookupError, TypeError):
        return result.name


def _take_place(staged: Path, folder: Path) -> None:
    """Move the new run's files to their place, its result last, and take away what is left of the old one."""
    is_another = _content(staged / REQUEST) != _content(folder / REQUEST)
    before = _sound_files(folder)
    new = sorted((path.relative_to(staged) for path in staged.rglob("*") if path.is_file()), key=_rank)
    for name in new:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (staged / name).replace(folder / name)
    old = {*before, RESULT, CHECKSUMS} - {name.as_posix() for name in new}
    for name in (*sorted(old), *(_TOLD_OF_IT if is_another else ())):
        remove(folder / name)
    if is_another and not (folder / RECIPE).is_file():
        remove(folder / OPTIMIZATION)
    for name in {Path(name).parent for name in old} - {Path()}:
        with suppress(OSError):  # others' files are in it
            (folder / name).rmdir()


def _rank(name: Path) -> tuple[bool, bool, str]:
    return name.as_posix() == RESULT, name.as_posix() == CHECKSUMS, name.as_posix()


def _sound_files(folder: Path) -> list[str]:
    """What the old run wrote and nobody has changed since."""
    try:
        return [name for name, told in read_checksums(folder).items() if is_sound(folder / name, told)]
    except DataError:
        return []


def _content(request: Path) -> object:
    try:
        return read_json(request)
    except DataError:
        return None
