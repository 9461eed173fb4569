"""Pascal VOC XML: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf, object detection."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from calibrant.core.errors import DataError
from calibrant.core.reading import read_bytes
from calibrant.tasks.detection.datasets.assemble import assemble, ground_truth
from calibrant.tasks.detection.datasets.flags import flag, remark_on_strange
from calibrant.tasks.detection.types import Category, Dataset, DetectionSample
from calibrant.tasks.media.files import (
    files_in,
    first,
    inside,
    is_file,
    is_folder,
    refuse_some,
    text_of,
)
from calibrant.tasks.media.images import IMAGE_SUFFIXES

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train"),
    "tvmonitor",
)

_SPLITS = ("val", "test")
_CLASS_LISTS = ("classes.txt", "labels.txt")
_ANNOTATION_FOLDERS = ("Annotations", "annotations")
_IMAGE_FOLDERS = ("JPEGImages", "images", "Images")


@dataclass(frozen=True)
class _Object:
    name: str
    xywh: tuple[float, float, float, float]
    difficult: str


@dataclass(frozen=True)
class _Annotation:
    path: Path
    file_name: str
    width: int | None
    height: int | None
    objects: tuple[_Object, ...]


def find(path: Path) -> Path | None:
    """The folder that has VOC's ``Annotations`` (or ``annotations``) in it, or XML files beside images."""
    if not is_folder(path):
        return None
    if path.name in _ANNOTATION_FOLDERS and files_in(path, {".xml"}):
        return path.parent
    return path if files_in(_annotation_folder(path), {".xml"}) else None


def read(path: Path, limit: int | None = None) -> Dataset:
    """Read a VOC folder: ``ImageSets/Main/val.txt``, else ``test.txt``, else all XML files in name order.

    XML files lie in ``Annotations`` or ``annotations``, images in ``JPEGImages`` or ``images``, or both in
    one folder.

    The first ``limit`` of these are taken. Objects marked difficult are treated as COCO's crowds: neither to
    be found nor false when found. Pixels count from 1 and both ends belong to the box, so that an object
    from 1 to the image's width becomes a box from 0 to the width.
    Classes are those of ``classes.txt`` when there is one; else VOC's 20 when they suffice; else all names
    found, sorted. Raises DataError.
    """
    split, files = _files(path)
    annotations = [_annotation(file) for file in files]
    categories = _categories(path, annotations)
    index = {category.name: category.id for category in categories}
    images = _image_index(path)
    chosen = annotations[: first(limit, len(annotations))]
    samples = [_sample(annotation, images, path, index) for annotation in chosen]
    name = f"{path.name} ({split})" if split else path.name
    remarks = (*_remark_on_order(path, categories), *_remark_on_difficult(chosen))
    return assemble(path, categories, samples, remarks, name)


# --- files -----------------------------------------------------------------------------------------


def _annotation_folder(path: Path) -> Path:
    return _first_folder(path, _ANNOTATION_FOLDERS)


def _image_folder(path: Path) -> Path:
    return _first_folder(path, _IMAGE_FOLDERS)


def _first_folder(path: Path, names: Sequence[str]) -> Path:
    return next((path / name for name in names if is_folder(path / name)), path)


def _files(path: Path) -> tuple[str | None, list[Path]]:
    """The split's name, when the folder has splits, and its XML files in order."""
    folder = _annotation_folder(path)
    for split in _SPLITS:
        listing = path / "ImageSets" / "Main" / f"{split}.txt"
        if is_file(listing):
            stems = [line.split()[0] for line in text_of(listing).splitlines() if line.strip()]
            files = [inside(folder, f"{stem}.xml") for stem in dict.fromkeys(stems)]
            lost = [file.name for file in files if not is_file(file)]
            refuse_some(lost, len(files), f"annotations listed in '{listing}' are missing", "add them")
            return split, files
    return None, list(files_in(folder, {".xml"}))


def _image_index(path: Path) -> Mapping[str, Path]:
    """The images by file name and, for labels whose file name is wrong, by stem."""
    images = files_in(_image_folder(path), IMAGE_SUFFIXES)
    return {image.stem: image for image in reversed(images)} | {image.name: image for image in images}


def _sample(
    annotation: _Annotation, images: Mapping[str, Path], path: Path, index: Mapping[str, int]
) -> DetectionSample:
    fallback = _image_folder(path) / f"{annotation.path.stem}.jpg"
    image = images.get(annotation.file_name) or images.get(annotation.path.stem) or fallback
    truth = ground_truth(
        [thing.xywh for thing in annotation.objects],
        [index[thing.name] for thing in annotation.objects],
        crowd=[bool(flag(thing.difficult)) for thing in annotation.objects],
    )
    return DetectionSample(annotation.path.stem, image, truth, annotation.width, annotation.height)


# --- classes ---------------------------------------------------------------------------------------


def _categories(path: Path, annotations: Sequence[_Annotation]) -> tuple[Category, ...]:
    found = {thing.name for annotation in annotations for thing in annotation.objects}
    names = _listed_classes(path) or (VOC_CLASSES if found <= set(VOC_CLASSES) else tuple(sorted(found)))
    unknown = sorted(found - set(names))
    refuse_some(unknown, len(found), f"class names in '{path}' are not in its classes.txt", "add them")
    return tuple(Category(index, name) for index, name in enumerate(names))


def _remark_on_order(path: Path, categories: Sequence[Category]) -> list[str]:
    """Where nothing says the order of the classes, a model without class names may have another one."""
    names = [category.name for category in categories]
    if _listed_classes(path) or tuple(names) == VOC_CLASSES or len(names) < 2:
        return []
    return [
        f"the {len(names)} classes of '{path}' are taken in alphabetical order, e.g. {names[0]!r} first; "
        "give a model without class names its own order in classes.txt"
    ]


def _listed_classes(path: Path) -> tuple[str, ...]:
    for name in _CLASS_LISTS:
        if is_file(path / name):
            lines = (line.strip() for line in text_of(path / name).splitlines())
            return tuple(dict.fromkeys(line for line in lines if line))
    return ()


def _remark_on_difficult(annotations: Sequence[_Annotation]) -> list[str]:
    """How many objects do not count, and the flags that say neither yes nor no."""
    marks = [
        (thing.difficult, annotation.path.name) for annotation in annotations for thing in annotation.objects
    ]
    read = [flag(text) for text, _ in marks]
    strange = [mark for mark, value in zip(marks, read, strict=True) if value is None]
    remarks = remark_on_strange("<difficult>", strange, len(marks), "not difficult")
    if count := read.count(True):
        remarks.insert(
            0,
            f"{count} of {len(marks)} objects are marked difficult; finding them or not changes no score",
        )
    return remarks


# --- XML -------------------------------------------------------------------------------------------


def _annotation(path: Path) -> _Annotation:
    try:
        # Entities are harmless: ElementTree fetches none, and expat limits how far they may grow.
        root = ElementTree.fromstring(read_bytes(path))  # noqa: S314
    except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        raise DataError(f"'{path}' is not valid XML ({error}); write it again") from error
    if root.tag != "annotation":
        raise DataError(f"'{path}' holds {root.tag!r:.40}, not VOC's <annotation>; take it out of the folder")
    objects = tuple(_object(element, path) for element in root.iter("object"))
    name = (root.findtext("filename") or "").strip()
    return _Annotation(path, name, _side(root, "size/width"), _side(root, "size/height"), objects)


def _object(element: ElementTree.Element, path: Path) -> _Object:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise DataError(f"'{path}' has an object without a name; add <name>")
    left, top, right, bottom = (
        _number(element, f"bndbox/{key}", path) for key in ("xmin", "ymin", "xmax", "ymax")
    )
    difficult = (element.findtext("difficult") or "").strip()
    return _Object(name, (left - 1, top - 1, right - left + 1, bottom - top + 1), difficult)


def _number(element: ElementTree.Element, where: str, path: Path) -> float:
    text = element.findtext(where)
    try:
        return float(text or "")
    except ValueError:
        raise DataError(
            f"'{path}' has {text!r:.40} as {where} of an object; write a number of pixels"
        ) from None


def _side(root: ElementTree.Element, where: str) -> int | None:
    try:
        side = float(root.findtext(where) or "")
    except ValueError:
        return None
    return int(side) if math.isfinite(side) and side >= 1 else None
