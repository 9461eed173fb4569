"""Labelled images: a folder a class, or a table of images and classes."""

from __future__ import annotations

from pathlib import Path

from calibrant.core.errors import DataError
from calibrant.tasks.classification.labels import folders, table
from calibrant.tasks.classification.types import LabelledImage, LabelledImages
from calibrant.tasks.media.files import first, is_file, is_folder

__all__ = ["open_labels"]

_FORMS = (
    "a folder with a subfolder for each class, Ultralytics' data set folder, or a .csv of image and class"
)


def open_labels(path: Path, limit: int | None = None) -> LabelledImages:
    """Open labelled images. ``limit`` takes images of all classes in turn, so that few are not of one class.

    Raises DataError when nothing is there or nothing is labelled.
    """
    if not (is_file(path) or is_folder(path)):
        raise DataError(f"'{path}' does not exist; give {_FORMS}")
    read = table.read if is_file(path) else folders.read
    found = read(path)
    if not found.samples:
        raise DataError(f"'{path}' labels no images; give {_FORMS}")
    kept = first(limit, len(found.samples))
    return LabelledImages(
        _in_turn(found)[:kept] if kept < len(found.samples) else found.samples, found.classes
    )


def _in_turn(found: LabelledImages) -> tuple[LabelledImage, ...]:
    seen = [0] * len(found.classes)
    turns = []
    for sample in found.samples:
        turns.append(seen[sample.label])
        seen[sample.label] += 1
    order = sorted(range(len(turns)), key=lambda position: (turns[position], found.samples[position].label))
    return tuple(found.samples[position] for position in order)
