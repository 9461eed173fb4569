"""ImageFolder: a subfolder a class; Ultralytics' classify layout has ``train``, ``val``, ``test`` above."""

from __future__ import annotations

from pathlib import Path

from calibrant.core.errors import DataError
from calibrant.tasks.classification.labels import table
from calibrant.tasks.classification.types import LabelledImage, LabelledImages
from calibrant.tasks.media.files import files_in, folders_in, images_in, is_folder
from calibrant.tasks.media.images import IMAGE_SUFFIXES

_SPLITS = ("val", "validation", "test")
_TABLES = (".csv", ".tsv")


def read(path: Path) -> LabelledImages:
    """Every image below a class's folder, classes and images in order of their names. Raises DataError.

    Where the folder has splits, it is the validation split, else the test split, as Ultralytics' validator
    takes it.
    """
    root = next((path / split for split in _SPLITS if is_folder(path / split)), path)
    folders = [folder for folder in folders_in(root) if not folder.name.startswith(".")]
    found = [(folder, files_in(folder, IMAGE_SUFFIXES, recursive=True)) for folder in folders]
    if not any(images for _, images in found):
        tables = files_in(path, _TABLES)
        if len(tables) == 1:
            return table.read(tables[0])
        count = len(images_in(root))
        raise DataError(
            f"'{root}' has {count} images, but no folders of classes; give a folder for each class"
        )
    samples = tuple(
        LabelledImage(image.relative_to(root).as_posix(), image, label)
        for label, (_, images) in enumerate(found)
        for image in images
    )
    return LabelledImages(samples, tuple(folder.name for folder in folders))
