"""Files that are either whole or absent: written to a temporary neighbour, then renamed."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from calibrant.artifacts.lock import locked
from calibrant.core.disk import cannot_write
from calibrant.core.errors import DataError, OutputError
from calibrant.core.reading import read_text
from calibrant.core.writing import write_atomically

# What write_bytes, save_model and collect_by name their drafts, and STAGED.
_LEFTOVER = re.compile(
    r"\..+\.[0-9a-f]{16}|\.calibrant-[a-z0-9_]{8}|\.collecting-[a-z0-9_]{8}|\.calibrant-staged"
)

STAGED = ".calibrant-staged"
"""The folder in which a run waits until it takes the place of an older one."""

SUBFOLDERS = frozenset({"evidence", "measurements", STAGED})
"""What a run's folder has within it: written into, and so never a link."""

LARGEST_JSON = 256 * 2**20
"""Bytes; a study.json has some thousands."""


def write_bytes(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file atomically, in pieces where it is large. Raises OutputError with the system's reason."""
    try:
        write_atomically(path, content)
    except OSError as error:
        raise cannot_write(path, error, "choose another folder with --out") from error


def remove(path: Path) -> None:
    """Delete a file if it is there. Raises OutputError with the system's reason."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot delete {path}: {error.strerror}; choose another folder with --out"
        ) from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON atomically, readable and with sorted structure left as given."""
    write_bytes(path, json_bytes(content))


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """JSON as :func:`write_json` writes it; halves of characters, which no UTF-8 holds, as escapes."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises DataError naming the file when it is missing or broken."""
    try:
        content = json.loads(read_text(path, LARGEST_JSON))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON: {error}; delete it to have it made again") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object; delete it to have it made again")
    return content


def require_writable(folder: Path) -> Path:
    """Create ``folder`` and check that a file can be made in it, before any work begins.

    Raises OutputError.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder} is a file; give a folder with --out")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise cannot_write(folder / "study.json", error, "choose another folder with --out") from error


@contextmanager
def occupied(folder: Path) -> Iterator[None]:
    """Be the only one who writes into a folder of results, without what a killed process left half written.

    Raises OutputError where another process is at work in it, or a folder in it is a link.
    """
    with locked(folder):
        _require_no_links(folder)
        for path in [path for path in folder.rglob(".*") if _LEFTOVER.fullmatch(path.name)]:
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield


@contextmanager
def written_together(folder: Path, last: str, of_old: Iterable[str] = ()) -> Iterator[Path]:
    """A place in ``folder`` for files that take their names there together, when all of them are written.

    last: the file that says that the others are there. of_old: names that go where nothing new takes them.
    What fails half way leaves what was there before. Raises OutputError.
    """
    staged = folder / STAGED
    shutil.rmtree(staged, ignore_errors=True)
    try:
        staged.mkdir()
        yield staged
        new = [path.relative_to(staged) for path in staged.rglob("*") if path.is_file()]
        for name in sorted(new, key=lambda name: (name.as_posix() == last, name)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (staged / name).replace(folder / name)
        for old in set(of_old) - {name.as_posix() for name in new}:
            remove(folder / old)
    except OSError as error:
        raise cannot_write(folder / last, error, "choose another folder with --out") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _require_no_links(folder: Path) -> None:
    for name in sorted(SUBFOLDERS):
        if (folder / name).is_symlink():
            raise OutputError(
                f"{folder / name} is a link, and the run would be written where it leads; delete the "
                "link, or choose another folder with --out"
            )


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """A writable folder for results, and nobody else's meanwhile; one that was made for them goes again when
    nothing came of them.

    Raises OutputError.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with occupied(require_writable(folder)):
            yield folder
    except BaseException:
        for path in made:
            with suppress(OSError):  # something is in it
                path.rmdir()
        raise
