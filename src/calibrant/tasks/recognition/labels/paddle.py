"""PaddleOCR's label file: one line an image, its name, a tab, and the text (``rec_gt_train.txt``)."""

from __future__ import annotations

from pathlib import Path

from calibrant.core.errors import DataError
from calibrant.tasks.media.files import is_file
from calibrant.tasks.media.tabbed_labels import first_content, label_files_in, require_one, tabbed_lines
from calibrant.tasks.recognition.labels.named import lines_of
from calibrant.tasks.recognition.types import LabelledLines


def find(path: Path) -> Path | None:
    """The label file: the path itself, or the only one in a folder. Raises DataError for several."""
    if is_file(path):
        return path if path.suffix.lower() == ".txt" and first_content(path) is not None else None
    return require_one(path, [file for file, _ in label_files_in(path)])


def read(path: Path) -> LabelledLines:
    """All lines of a label file, in its order. Raises DataError for a line without a tab."""
    rows = []
    for line in tabbed_lines(path, "the text"):
        if line.content.startswith("[{"):
            raise DataError(
                f"{line.where} holds boxes and texts of a page; give labels of single lines, as "
                "PaddleOCR's rec_gt.txt"
            )
        rows.append((line.name, line.content))
    return lines_of(path, rows)
