"""Images with masks: two folders with files of the same names, as ADE20K, Cityscapes and Pascal VOC have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from calibrant.core.errors import DataError, ImageError
from calibrant.tasks.media.files import files_in, first, is_folder, refuse_some
from calibrant.tasks.media.images import IMAGE_SUFFIXES, check_image
from calibrant.tasks.semantic.types import SegmentedImage

FORMS = (
    "a folder with images and PNG masks of the same names, in images/ and masks/ (ADE20K, VOC, Cityscapes)"
)

_IMAGES = ("images", "image", "leftImg8bit", "JPEGImages", "imgs", "img")
_MASKS = ("masks", "mask", "annotations", "labels", "gtFine", "SegmentationClass", "ann")
_SPLITS = ("val", "validation", "test")
_ENDINGS = re.compile(r"(_leftImg8bit|_gtFine_labelTrainIds|_gtFine_labelIds|_labelTrainIds|_mask)$")
_TRAINED = "_gtFine_labelTrainIds"


def open_masks(path: Path, limit: int | None = None) -> tuple[tuple[SegmentedImage, ...], tuple[str, ...]]:
    """Images that have a mask, in order of their names, the first ``limit``; and remarks.

    Where both folders have splits, it is the validation split, else the test split. Raises DataError where
    nothing is there or nothing fits together.
    """
    images, masks = _folders(path)
    files = files_in(images, IMAGE_SUFFIXES, recursive=True)
    by_name = _masks_in(masks)
    found = [(file, by_name.get(_name(file, images))) for file in files]
    kept = [(file, mask) for file, mask in found if mask is not None]
    if not kept:
        raise DataError(f"no image in '{images}' has a mask of its name in '{masks}'; e.g. a.jpg and a.png")
    count = first(limit, len(kept))
    samples = [_sample(file, images, mask) for file, mask in kept[:count]]
    _refuse_other_sizes(samples)
    bare = [file.name for file, mask in found if mask is None]
    remarks = (
        [f"{len(bare)} of {len(files)} images have no mask, e.g. {bare[0]!r}; they were left out"]
        if bare
        else []
    )
    return tuple(samples), tuple(remarks)


def _folders(path: Path) -> tuple[Path, Path]:
    if not is_folder(path):
        raise DataError(f"'{path}' is no folder; give {FORMS}")
    images = next((path / name for name in _IMAGES if is_folder(path / name)), None)
    masks = next((path / name for name in _MASKS if is_folder(path / name)), None)
    if images is None or masks is None:
        lacks = "images, e.g. images/" if images is None else "masks, e.g. masks/"
        raise DataError(f"'{path}' has no folder of {lacks}; give {FORMS}")
    split = next((name for name in _SPLITS if is_folder(images / name) and is_folder(masks / name)), "")
    return images / split, masks / split


def _masks_in(folder: Path) -> dict[str, Path]:
    """Masks by the name that their image has; of Cityscapes' several those with numbers to train on."""
    files = files_in(folder, {".png", ".bmp", ".tif", ".tiff"}, recursive=True)
    trained = [file for file in files if file.stem.endswith(_TRAINED)]
    return {_name(file, folder): file for file in trained or files}


def _name(file: Path, folder: Path) -> str:
    relative = file.relative_to(folder).with_suffix("")
    return (relative.parent / _ENDINGS.sub("", relative.name)).as_posix()


def _sample(image: Path, folder: Path, mask: Path) -> SegmentedImage:
    header = check_image(mask)
    return SegmentedImage(image.relative_to(folder).as_posix(), image, mask, header.width, header.height)


def _refuse_other_sizes(samples: Sequence[SegmentedImage]) -> None:
    other = []
    for sample in samples:
        try:
            header = check_image(sample.path)
        except ImageError:  # named and counted when the images are checked
            continue
        if (header.width, header.height) != (sample.width, sample.height):
            other.append(f"{sample.id}: {header.width}x{header.height}, {sample.width}x{sample.height}")
    refuse_some(other, len(samples), "masks are not of their image's size", "write them anew at that size")
