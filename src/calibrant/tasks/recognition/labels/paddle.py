"""PaddleOCR's label file: one line an image, its name, a tab, and the text (``rec_gt_train.txt``)."""

from __future__ import annotations

from pathlib import Path

from calibrant.core.errors import DataError
from calibrant.core.reading import opened
from calibrant.tasks.media.files import files_in, is_file, text_of
from calibrant.tasks.media.images import IMAGE_SUFFIXES
from calibrant.tasks.recognition.labels.named import lines_of
from calibrant.tasks.recognition.types import LabelledLines

_LOOKED_AT = 4096  # bytes of a text file that tell what it is


def find(path: Path) -> Path | None:
    """The label file: the path itself, or the only one in a folder. Raises DataError for several."""
    if is_file(path):
        return path if path.suffix.lower() == ".txt" and _has_labels(path) else None
    found = [file for file in files_in(path, [".txt"]) if _has_labels(file)]
    if len(found) > 1:
        raise DataError(f"'{path}' has {len(found)} label files, e.g. '{found[0]}'; give one of them")
    return found[0] if found else None


def read(path: Path) -> LabelledLines:
    """All lines of a label file, in its order. Raises DataError for a line without a tab."""
    rows = []
    for number, line in enumerate(text_of(path).split("\n"), 1):
        entry = line.rstrip("\r")
        if not entry.strip():
            continue
        name, tab, text = entry.partition("\t")
        if not tab:
            raise DataError(
                f"line {number} of '{path}' has no tab: {entry[:60]!r}; write image, a tab, the text"
            )
        if text.startswith("[{"):
            raise DataError(
                f"line {number} of '{path}' holds boxes and texts of a page; give labels of single lines, as "
                "PaddleOCR's rec_gt.txt"
            )
        rows.append((name, text))
    return lines_of(path, rows)


def _has_labels(path: Path) -> bool:
    """Whether the first line is an image's name, a tab and more."""
    try:
        with opened(path) as stream:
            line = stream.read(_LOOKED_AT).split(b"\n")[0]
    except OSError:
        return False
    name, tab, _ = line.decode("utf-8-sig", errors="replace").partition("\t")
    return bool(tab) and Path(name).suffix.lower() in IMAGE_SUFFIXES
