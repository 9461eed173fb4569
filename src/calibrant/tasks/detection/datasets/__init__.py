"""Labelled test sets: the format is recognised, and all formats become a :class:`Dataset`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from calibrant.core.errors import DataError, SettingsError
from calibrant.tasks.detection.datasets import coco, ultralytics, voc
from calibrant.tasks.detection.types import Dataset
from calibrant.tasks.media.files import images_in, is_file, is_folder
from calibrant.tasks.media.images import FRAMES_OF_VIDEO, VIDEO_SUFFIXES

__all__ = ["FORMATS", "Format", "open_dataset", "training_images"]


@dataclass(frozen=True)
class Format:
    """A label format. ``find`` gives the file or folder to read when a path is of this format."""

    name: str
    find: Callable[[Path], Path | None]
    read: Callable[[Path, int | None], Dataset]


FORMATS = (
    Format("COCO JSON", coco.find, coco.read),
    Format("Ultralytics data.yaml", ultralytics.find, ultralytics.read),
    Format("Pascal VOC XML", voc.find, voc.read),
)


def open_dataset(path: Path, limit: int | None = None, images: Path | None = None) -> Dataset:
    """Open a labelled test set of any format in :data:`FORMATS`, given as its label file or its folder.

    ``limit`` takes the first images in the data set's own order (each reader says which). ``images`` is the
    folder of a COCO file's images, where they do not lie near it.
    Raises DataError when nothing is there, the format is unknown or ambiguous, or labels and images do not
    fit together; ImageError is left to the check of the images.
    """
    if not (is_file(path) or is_folder(path)):
        raise DataError(f"'{path}' does not exist; give a COCO JSON, a data.yaml or a Pascal VOC folder")
    found = [(format_, place) for format_ in FORMATS if (place := format_.find(path)) is not None]
    if not found:
        raise _unknown(path)
    if len(found) > 1:
        names = " and ".join(format_.name for format_, _ in found)
        raise DataError(f"'{path}' holds labels as {names}; give the label file itself, e.g. '{found[0][1]}'")
    chosen, place = found[0]
    if images is None:
        return chosen.read(place, limit)
    if chosen.read is not coco.read:
        raise SettingsError(f"labels as {chosen.name} say where their images are; leave --images out")
    if not is_folder(images):
        raise DataError(f"the folder of images '{images}' does not exist; give another --images")
    return coco.read(place, limit, images)


def training_images(path: Path) -> Path | None:
    """The folder or list of the images that a data set was trained on, where it says; None: it does not.

    Raises DataError.
    """
    if not (is_file(path) or is_folder(path)):
        return None
    place = ultralytics.find(path)
    return None if place is None else ultralytics.training_images(place)


def _unknown(path: Path) -> DataError:
    formats = ", ".join(format_.name for format_ in FORMATS)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return DataError(f"'{path}' is a video; {FRAMES_OF_VIDEO}, and label them as one of: {formats}")
    if is_folder(path) and (images := images_in(path)):
        return DataError(
            f"'{path}' holds {len(images)} images but no labels; give labels as one of: {formats}"
        )
    return DataError(f"'{path}' is no known label format; give one of: {formats}")
