"""PaddleOCR's label files: one line an image, its name, a tab, and what is told of it (text, or JSON)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from calibrant.core.errors import DataError
from calibrant.core.reading import opened
from calibrant.tasks.media.files import files_in, text_of
from calibrant.tasks.media.images import IMAGE_SUFFIXES

_LOOKED_AT = 4096  # bytes of a text file that tell what it is


@dataclass(frozen=True)
class TabbedLine:
    """One image's line. where: it is, in words. name: as written. content: what follows the tab."""

    where: str
    name: str
    content: str


def tabbed_lines(path: Path, wanted: str) -> Iterator[TabbedLine]:
    """The lines of a label file, without empty ones. wanted: what has to stand behind the tab, in words.

    Raises DataError for a line without a tab.
    """
    for number, line in enumerate(text_of(path).split("\n"), 1):
        entry, where = line.rstrip("\r"), f"line {number} of '{path}'"
        if not entry.strip():
            continue
        name, tab, content = entry.partition("\t")
        if not tab:
            raise DataError(f"{where} has no tab: {entry[:60]!r}; write image, a tab, {wanted}")
        yield TabbedLine(where, name, content)


def first_content(path: Path) -> str | None:
    """What the first line tells of an image, or its beginning; None: it does not begin with one."""
    try:
        with opened(path) as stream:
            line = stream.read(_LOOKED_AT).split(b"\n")[0]
    except OSError:
        return None
    name, tab, content = line.decode("utf-8-sig", errors="replace").partition("\t")
    return content if tab and Path(name).suffix.lower() in IMAGE_SUFFIXES else None


def label_files_in(folder: Path) -> list[tuple[Path, str]]:
    """The text files of a folder that label images, with what the first line tells."""
    told = [(file, first_content(file)) for file in files_in(folder, [".txt"])]
    return [(file, content) for file, content in told if content is not None]


def require_one(path: Path, found: list[Path]) -> Path | None:
    """The only label file of a folder; None: it has none. Raises DataError for several."""
    if len(found) > 1:
        raise DataError(f"'{path}' has {len(found)} label files, e.g. '{found[0]}'; give one of them")
    return found[0] if found else None
