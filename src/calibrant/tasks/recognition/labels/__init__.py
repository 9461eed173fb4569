"""Labelled lines of text: the format is recognised, and all formats become :class:`LabelledLines`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from calibrant.core.errors import DataError
from calibrant.tasks.media.files import first, images_in, is_file, is_folder
from calibrant.tasks.recognition.labels import lmdb, paddle, table
from calibrant.tasks.recognition.types import LabelledLines

__all__ = ["FORMATS", "Format", "open_labels"]


@dataclass(frozen=True)
class Format:
    """A label format. ``find`` gives what to read when a path is of this format."""

    name: str
    find: Callable[[Path], Path | None]
    read: Callable[[Path], LabelledLines]


FORMATS = (
    Format("a text file of image<TAB>text", paddle.find, paddle.read),
    Format("an LMDB of image-%09d and label-%09d", lmdb.find, lmdb.read),
    Format("a .csv or .jsonl with columns of image and text", table.find, table.read),
)


def open_labels(path: Path, limit: int | None = None) -> LabelledLines:
    """Open labelled lines of any format in :data:`FORMATS`, given as the label file or its folder.

    ``limit`` takes the first lines in the file's own order. Raises DataError when nothing is there, the
    format is unknown or ambiguous, or the labels name files that are missing.
    """
    if not (is_file(path) or is_folder(path)):
        raise DataError(f"'{path}' does not exist; give {_formats()}")
    found = [(format_, place) for format_ in FORMATS if (place := format_.find(path)) is not None]
    if not found:
        pictures = (
            f"holds {len(images_in(path))} images but no labels" if is_folder(path) else "has no labels"
        )
        raise DataError(f"'{path}' {pictures} that can be read; give {_formats()}")
    if len(found) > 1:
        places = " and ".join(f"'{place}'" for _, place in found)
        raise DataError(f"'{path}' has labels in {places}; give one of them")
    chosen, place = found[0]
    lines = chosen.read(place)
    if not lines.samples:
        raise DataError(f"'{place}' labels no image; write at least one line")
    return LabelledLines(lines.samples[: first(limit, len(lines.samples))], lines.warnings)


def _formats() -> str:
    return ", or ".join(format_.name for format_ in FORMATS)
