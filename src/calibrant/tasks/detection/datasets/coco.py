"""COCO JSON: https://cocodataset.org/#format-data, object detection."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from calibrant.core.errors import DataError
from calibrant.tasks.detection.datasets.assemble import assemble, ground_truth
from calibrant.tasks.detection.types import Category, Dataset, DetectionSample, GroundTruth
from calibrant.tasks.media.files import (
    files_in,
    first,
    folders_in,
    inside,
    is_file,
    is_folder,
    refuse_some,
    text_of,
)

Record: TypeAlias = Mapping[str, Any]

_BACKGROUNDS = frozenset({"background", "__background__", "_background_"})
_LABEL_FOLDERS = frozenset({"annotations", "labels"})
_PROBES = 16
"""How many of the first images are looked for in each folder that could hold them."""


def find(path: Path) -> Path | None:
    """The JSON file that ``path`` is, or holds (also in ``annotations/``); DataError when there are more."""
    if path.suffix.lower() == ".json" and is_file(path):
        return path
    if not is_folder(path):
        return None
    found = files_in(path, {".json"}) or (
        files_in(path / "annotations", {".json"}) if is_folder(path / "annotations") else ()
    )
    if len(found) > 1:
        raise DataError(
            f"{len(found)} JSON files are in '{path}', e.g. '{found[0].name}'; give the one with the labels"
        )
    return found[0] if found else None


def read(path: Path, limit: int | None = None) -> Dataset:
    """Read a COCO file; the first ``limit`` images are taken in the order of the file.

    Categories are in order of their ids, as in COCO's own scores. Crowds and areas are kept.
    Raises DataError.
    """
    content = _content(path)
    images = _records(content, "images", path)
    annotations = _records(content, "annotations", path)
    categories, warnings = _categories(_records(content, "categories", path), annotations, path)
    _refuse_duplicates([_field(image, "file_name", str, path) for image in images], "image file names", path)
    truths = _truths(images, annotations, [category.id for category in categories], path)
    samples = _samples(path, images[: first(limit, len(images))], truths)
    return assemble(path, categories, samples, warnings)


# --- the file --------------------------------------------------------------------------------------


def _content(path: Path) -> Record:
    try:
        content = json.loads(text_of(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is not valid JSON ({error}); write it again") from error
    if not isinstance(content, dict):
        raise DataError(
            f"'{path}' holds a JSON {type(content).__name__}, not COCO labels; "
            "give a file with images, annotations and categories"
        )
    return content


def _records(content: Record, key: str, path: Path) -> list[Record]:
    records = content.get(key)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise DataError(f"'{path}' has no list of {key!r}; COCO labels need images, annotations, categories")
    if not records and key != "annotations":
        raise DataError(f"'{path}' has an empty list of {key!r}; a test set needs labelled images")
    return records


def _field(record: Record, key: str, kind: type | tuple[type, ...], path: Path) -> Any:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, kind):
        shown = ", ".join(f"{name!r:.20}: {record[name]!r:.40}" for name in list(record)[:3])
        raise DataError(f"'{path}': {key!r} is missing or of the wrong type in {{{shown}}}; correct it")
    return value


def _refuse_duplicates(values: Sequence[Any], what: str, path: Path) -> None:
    repeated = [str(value) for value, count in Counter(values).items() if count > 1]
    refuse_some(repeated, len(values), f"{what} in '{path}' are duplicates", "give each its own")


# --- categories ------------------------------------------------------------------------------------


def _categories(
    records: Sequence[Record], annotations: Sequence[Record], path: Path
) -> tuple[tuple[Category, ...], list[str]]:
    """The categories in order of their ids, without a placeholder, and a remark about it if there is one."""
    ids = [_field(record, "id", int, path) for record in records]
    _refuse_duplicates(ids, "category ids", path)
    used = {record["category_id"] for record in annotations if _is_number(record.get("category_id"))}
    unused = [record for record in records if record["id"] not in used]
    placeholders = [record for record in unused if _is_placeholder(record, records)]
    kept = [
        Category(record["id"], _field(record, "name", str, path))
        for record in records
        if record not in placeholders
    ]
    remarks = [f"the category {record['name']!r} labels nothing and was left out" for record in placeholders]
    return tuple(sorted(kept, key=lambda category: category.id)), remarks


def _is_placeholder(record: Record, records: Sequence[Record]) -> bool:
    """Whether this is a background class, or the group of all the others that some exporters add."""
    others = [other for other in records if other is not record]
    name = record.get("name")
    is_group = bool(others) and all(other.get("supercategory") == name for other in others)
    return name in _BACKGROUNDS or (isinstance(name, str) and is_group)


# --- boxes -----------------------------------------------------------------------------------------


def _truths(
    images: Sequence[Record], annotations: Sequence[Record], category_ids: Sequence[int], path: Path
) -> list[GroundTruth]:
    """The boxes of each image, in the order of the file."""
    image_ids = [_field(image, "id", (int, str), path) for image in images]
    _refuse_duplicates(image_ids, "image ids", path)
    image_index = {image_id: index for index, image_id in enumerate(image_ids)}
    class_index = {category_id: index for index, category_id in enumerate(category_ids)}
    owners = _indices(annotations, "image_id", image_index, "images", path)
    classes = _indices(annotations, "category_id", class_index, "categories", path)
    xywh = np.array([_box(record, path) for record in annotations], np.float64).reshape(-1, 4)
    boxes = ground_truth(xywh, classes, None, [record.get("iscrowd") == 1 for record in annotations])
    areas = np.array([_area(record) for record in annotations], np.float64)
    areas = np.where(np.isfinite(areas), areas, boxes.areas)
    return _split(GroundTruth(boxes.xywh, boxes.classes, areas, boxes.crowd), owners, len(images))


def _indices(
    annotations: Sequence[Record], key: str, index: Mapping[Any, int], what: str, path: Path
) -> list[int]:
    values = [_field(record, key, (int, str), path) for record in annotations]
    unknown = [str(value) for value in values if value not in index]
    refuse_some(
        unknown, len(values), f"annotations in '{path}' have a {key} not among its {what}", "correct them"
    )
    return [index[value] for value in values]


def _split(boxes: GroundTruth, owners: Iterable[int], count: int) -> list[GroundTruth]:
    owner = np.asarray(list(owners), np.int64)
    order = np.argsort(owner, kind="stable")
    ends = np.cumsum(np.bincount(owner, minlength=count))
    return [
        GroundTruth(boxes.xywh[rows], boxes.classes[rows], boxes.areas[rows], boxes.crowd[rows])
        for rows in np.split(order, ends[:-1])
    ]


def _box(record: Record, path: Path) -> list[float]:
    box = _field(record, "bbox", list, path)
    if len(box) != 4 or not all(_is_number(value) for value in box):
        raise DataError(f"'{path}': a bbox is {box!r:.60}; COCO wants [left, top, width, height] in pixels")
    return [_float(value) for value in box]


def _area(record: Record) -> float:
    area = record.get("area")
    return _float(area) if _is_number(area) else math.nan


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf


# --- images ----------------------------------------------------------------------------------------


def _samples(path: Path, images: Sequence[Record], truths: Sequence[GroundTruth]) -> list[DetectionSample]:
    names = [str(image["file_name"]) for image in images]
    folder = _image_folder(path, names)
    return [
        DetectionSample(name, inside(folder, name), truth, _side(image, "width"), _side(image, "height"))
        for name, image, truth in zip(names, images, truths, strict=False)
    ]


def _side(image: Record, key: str) -> int | None:
    value = image.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _image_folder(path: Path, names: Sequence[str]) -> Path:
    """The folder near the file that holds most of the first images."""
    probes = names[:_PROBES]
    held = {folder: sum(is_file(inside(folder, name)) for name in probes) for folder in _candidates(path)}
    best = max(held, key=lambda folder: held[folder])
    if not held[best]:
        raise DataError(
            f"the images of '{path}' are not beside it, e.g. {names[0]!r}; "
            "put their folder beside the file or in 'images'"
        )
    return best


def _candidates(path: Path) -> list[Path]:
    """Folders in which to look, likeliest first: those named in the file's name, then those beside it.

    Further up only where the file lies in a folder of labels: elsewhere the neighbours are other data sets,
    which may well have images of the same names.
    """
    here = path.absolute().parent
    homes = [here, here.parent] if here.name.lower() in _LABEL_FOLDERS else [here]
    bases = [base for home in homes for base in (home, home / "images")]
    below = [folder for base in bases for folder in folders_in(base)]
    named = [folder for folder in below if folder.name in path.stem]
    return list(dict.fromkeys([*named, *bases, *below]))
