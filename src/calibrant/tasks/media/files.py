"""Finding files safely: listings in a fixed order, names that stay inside their folder, unique ids."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from calibrant.core.errors import DataError, SettingsError
from calibrant.core.reading import read_text
from calibrant.tasks.media.images import IMAGE_SUFFIXES

_DRIVE = re.compile(r"[A-Za-z]:")
_PLAIN_NAME = re.compile(r"[\w. -]+")


def is_file(path: Path | str) -> bool:
    """Whether ``path`` is a file; no for names that the system refuses (too long, NUL inside)."""
    return os.path.isfile(path)  # noqa: PTH113  (many times faster than pathlib for files that are not there)


def is_folder(path: Path) -> bool:
    """Whether ``path`` is a folder; no for names that the system refuses."""
    return os.path.isdir(path)  # noqa: PTH112


def files_in(folder: Path, suffixes: Iterable[str], recursive: bool = False) -> tuple[Path, ...]:
    """Files of these suffixes, hidden ones left out, in order of their names. Raises DataError."""
    wanted = frozenset(suffixes)
    try:
        found = [path for path in _walk(folder, recursive) if path.suffix.lower() in wanted]
    except OSError as error:
        raise DataError(f"'{folder}' cannot be listed ({error.strerror}); check its permissions") from error
    return tuple(sorted(found, key=lambda path: path.relative_to(folder).as_posix()))


def folders_in(folder: Path) -> tuple[Path, ...]:
    """The folders directly in ``folder``, in order of their names; none when it cannot be listed."""
    try:
        return tuple(sorted(path for path in folder.iterdir() if is_folder(path)))
    except OSError:
        return ()


def images_in(folder: Path) -> tuple[Path, ...]:
    """Images directly in ``folder``, or below it when there are none, in order of their names."""
    return files_in(folder, IMAGE_SUFFIXES) or files_in(folder, IMAGE_SUFFIXES, recursive=True)


def inside(folder: Path, name: str) -> Path:
    """The file that a label file calls ``name``, in ``folder``; DataError when the name leads out of it."""
    return folder / inner_name(name)


def inner_name(name: str) -> str:
    """A file's name below its folder, from a label file; DataError when it leads out of there."""
    if _PLAIN_NAME.fullmatch(name) and not name.startswith("."):
        return name
    pure = PurePosixPath(name.replace("\\", "/"))
    if not pure.parts or pure.is_absolute() or ".." in pure.parts or _DRIVE.match(name) or "\0" in name:
        raise DataError(f"the image name {name!r} leads out of its folder; use names below the image folder")
    return str(pure)


def text_of(path: Path) -> str:
    """The text of a UTF-8 file, with or without byte order mark. Raises DataError."""
    try:
        return read_text(path, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"'{path}' is not UTF-8 text (byte {error.start}); save it as UTF-8, or give a label file"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"'{path}' cannot be read ({reason}); check its name and permissions") from error


def listed_paths(listing: Path, roots: Sequence[Path] = ()) -> tuple[Path, ...]:
    """The paths in a list file, one a line; blank lines and # lines are skipped.

    They are relative to the list's folder, or to the first of ``roots`` in which the first of them lies.
    Raises DataError when the list is empty, names a path twice or names a missing file.
    """
    lines = [line.strip() for line in text_of(listing).splitlines()]
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise DataError(f"'{listing}' lists no images; write one path a line")
    bases = (listing.parent, *roots)
    base = next((base for base in bases if is_file(base / names[0])), listing.parent)
    paths = tuple(base / name for name in names)
    refuse_some(
        [str(path) for path, count in Counter(paths).items() if count > 1],
        len(paths),
        f"paths in '{listing}' are listed more than once",
        "list each once",
    )
    refuse_some(
        [str(path) for path in paths if not is_file(path)],
        len(paths),
        f"files listed in '{listing}' do not exist",
        "paths are relative to the list's folder",
    )
    return paths


def unique_ids(paths: Sequence[Path]) -> tuple[str, ...]:
    """An id for each path: the file names when they differ, else the paths below their common folder."""
    names = tuple(path.name for path in paths)
    if len(set(names)) == len(names):
        return names
    absolute = [path.absolute() for path in paths]
    common = os.path.commonpath([path.parent for path in absolute])
    return tuple(path.relative_to(common).as_posix() for path in absolute)


def first(limit: int | None, count: int) -> int:
    """How many of ``count`` items a limit leaves. Raises SettingsError for a limit below 1."""
    if limit is not None and limit < 1:
        raise SettingsError(f"a limit of {limit} leaves no images; give 1 or more, or no limit")
    return count if limit is None else min(limit, count)


def refuse_some(bad: Sequence[str], total: int, fact: str, remedy: str) -> None:
    """Raise DataError, with the count and an example, when ``bad`` is not empty."""
    if bad:
        raise DataError(f"{len(bad)} of {total} {fact}, e.g. {bad[0]!r}; {remedy}")


def _walk(folder: Path, recursive: bool) -> Iterator[Path]:
    for parent, subfolders, names in os.walk(folder, onerror=_raise):
        subfolders[:] = [name for name in subfolders if recursive and not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _raise(error: OSError) -> None:
    raise error
