"""A .csv with a column of image names and one of classes: names, or the model's numbers."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from calibrant.core.errors import DataError
from calibrant.tasks.classification.types import LabelledImage, LabelledImages
from calibrant.tasks.media.files import inside, is_file, refuse_some, text_of

_IMAGES = ("file_name", "filename", "image", "image_path", "path", "file")
_LABELS = ("label", "class", "class_name", "target", "category")


def read(path: Path) -> LabelledImages:
    """All rows, in the file's order; classes in order of their names, numbers by value. Raises DataError."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        rows = list(csv.DictReader(text_of(path).splitlines(), delimiter=delimiter))
    except csv.Error as error:
        raise DataError(f"'{path}' cannot be read as a table ({error}); save it as CSV") from error
    if not rows:
        raise DataError(f"'{path}' has no rows; write a heading, and an image and a class in each row")
    image, label = (_column(path, rows[0], names) for names in (_IMAGES, _LABELS))
    named = [(row[image] or "", row[label] or "") for row in rows]
    refuse_some(
        [name for name, kind in named if not (name and kind)],
        len(rows),
        f"rows of '{path}' lack a cell",
        "fill it",
    )
    refuse_some(
        [name for name, _ in named if not is_file(inside(path.parent, name))],
        len(rows),
        f"images labelled in '{path}' do not exist",
        "names are relative to the table's folder",
    )
    kinds = {kind for _, kind in named}
    classes = sorted(kinds, key=int) if all(kind.isdecimal() for kind in kinds) else sorted(kinds)
    index = {kind: position for position, kind in enumerate(classes)}
    samples = tuple(LabelledImage(name, inside(path.parent, name), index[kind]) for name, kind in named)
    return LabelledImages(samples, tuple(classes))


def _column(path: Path, row: Mapping[str, object], names: Sequence[str]) -> str:
    found = next((name for name in names if name in row), None)
    if found is None:
        columns = ", ".join(map(str, row))
        raise DataError(f"'{path}' has columns {columns}; name one of them {' or '.join(names[:3])}")
    return found
