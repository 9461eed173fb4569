"""COCO JSON: https://cocodataset.org/#format-data, object detection."""

from __future__ import annotations

import gc
import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import DataError
from calibrant.core.types import IntArray
from calibrant.tasks.detection.datasets.assemble import assemble, ground_truth, refuse_missing
from calibrant.tasks.detection.datasets.flags import flags, remark_on_strange
from calibrant.tasks.detection.types import Category, Dataset, DetectionSample, GroundTruth
from calibrant.tasks.media.files import (
    files_in,
    first,
    folders_in,
    inner_name,
    inside,
    is_file,
    is_folder,
    refuse_some,
    text_of,
)

Record: TypeAlias = Mapping[str, Any]

_BACKGROUNDS = frozenset({"background", "__background__", "_background_"})
_LABEL_FOLDERS = frozenset({"annotations", "labels"})
_NO_BOX = (math.nan,) * 4
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


def read(path: Path, limit: int | None = None, images: Path | None = None) -> Dataset:
    """Read a COCO file; the first ``limit`` images are taken in the order of the file.

    ``images`` is the folder that holds them (default: one near the file). Categories are in order of their
    ids, as in COCO's own scores. Crowds and areas are kept.
    Raises DataError.
    """
    content = _content(path)
    records = _records(content, "images", path)
    annotations = _records(content, "annotations", path)
    categories, warnings = _categories(_records(content, "categories", path), annotations, path)
    names = [_field(image, "file_name", str, path) for image in records]
    _refuse_duplicates(names, "image file names", path)
    count = first(limit, len(records))
    files = _files(path, names[:count], images)
    truths, remarks = _truths(records, annotations, [category.id for category in categories], count, path)
    samples = _samples(records, files, truths)
    return assemble(path, categories, samples, [*warnings, *remarks])


def annotations_by_image(path: Path) -> dict[str, list[Record]]:
    """The annotations of each image, by its file name, in the order of the file. Raises DataError."""
    content = _content(path)
    names = {record.get("id"): str(record.get("file_name")) for record in _records(content, "images", path)}
    found: dict[str, list[Record]] = {}
    for record in _records(content, "annotations", path):
        owner = record.get("image_id")
        if isinstance(owner, int | str) and owner in names:
            found.setdefault(names[owner], []).append(record)
    return found


# --- the file --------------------------------------------------------------------------------------


def _content(path: Path) -> Record:
    text = text_of(path)
    try:
        with _without_collecting():
            content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is not valid JSON ({error}); write it again") from error
    if not isinstance(content, dict):
        raise DataError(
            f"'{path}' holds a JSON {type(content).__name__}, not COCO labels; "
            "give a file with images, annotations and categories"
        )
    return content


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Python's collector looks at millions of new lists again and again, and finds no circle in JSON."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


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
    used = {key for record in annotations if type(key := record.get("category_id")) is int}
    placeholders = [record for record in _placeholders(records) if record["id"] not in used]
    left_out = {record["id"] for record in placeholders}
    kept = [
        Category(record["id"], _field(record, "name", str, path))
        for record in records
        if record["id"] not in left_out
    ]
    remarks = [f"the category {record['name']!r} labels nothing and was left out" for record in placeholders]
    return tuple(sorted(kept, key=lambda category: category.id)), remarks


def _placeholders(records: Sequence[Record]) -> list[Record]:
    """Background classes, and the group of all the others that some exporters add."""
    groups = Counter(name for record in records if isinstance(name := record.get("supercategory"), str))
    return [record for record in records if _is_placeholder(record, groups, len(records) - 1)]


def _is_placeholder(record: Record, groups: Mapping[str, int], others: int) -> bool:
    name = record.get("name")
    if not isinstance(name, str):
        return False
    in_group = groups.get(name, 0) - (record.get("supercategory") == name)
    return name in _BACKGROUNDS or (others > 0 and in_group == others)


# --- boxes -----------------------------------------------------------------------------------------


def _truths(
    images: Sequence[Record],
    annotations: Sequence[Record],
    category_ids: Sequence[int],
    count: int,
    path: Path,
) -> tuple[list[GroundTruth], list[str]]:
    """The boxes of each of the first ``count`` images, in the order of the file, and remarks on them."""
    image_ids = [_field(image, "id", (int, str), path) for image in images]
    _refuse_duplicates(image_ids, "image ids", path)
    image_index = {image_id: index for index, image_id in enumerate(image_ids)}
    class_index = {category_id: index for index, category_id in enumerate(category_ids)}
    owners = _indices(annotations, "image_id", image_index, "images", path)
    classes = _indices(annotations, "category_id", class_index, "categories", path)
    crowd, remarks = _crowd(annotations, path)
    boxes = ground_truth(_boxes(annotations, path), classes, None, crowd)
    areas = _areas(annotations)
    areas = np.where(np.isfinite(areas), areas, boxes.areas)
    return _split(GroundTruth(boxes.xywh, boxes.classes, areas, boxes.crowd), owners, count), remarks


def _indices(
    annotations: Sequence[Record], key: str, index: Mapping[Any, int], what: str, path: Path
) -> list[int]:
    values = [record.get(key) for record in annotations]
    if not set(map(type, values)) <= {int, str}:
        values = [_field(record, key, (int, str), path) for record in annotations]
    found = [index.get(value) for value in values]
    if None in found:
        unknown = [str(value) for value in values if value not in index]
        fact = f"annotations in '{path}' have a {key} not among its {what}"
        refuse_some(unknown, len(values), fact, "correct them")
    return [position for position in found if position is not None]


def _crowd(annotations: Sequence[Record], path: Path) -> tuple[list[bool], list[str]]:
    values = [record.get("iscrowd", 0) for record in annotations]
    read = flags(values)
    strange = [(value, path.name) for value, known in zip(values, read, strict=True) if known is None]
    return list(map(bool, read)), remark_on_strange("iscrowd", strange, len(values), "no crowd")


def _split(boxes: GroundTruth, owners: Sequence[int], count: int) -> list[GroundTruth]:
    """The boxes of each of the first ``count`` images."""
    owner = np.asarray(owners, np.int64)
    order = np.argsort(owner, kind="stable")
    ends = np.cumsum(np.bincount(owner, minlength=count))[:count].tolist()
    ordered = _rows(boxes, order)
    nothing = _rows(boxes, slice(0))
    return [
        _rows(ordered, slice(start, end)) if end > start else nothing
        for start, end in zip([0, *ends], ends, strict=False)
    ]


def _rows(boxes: GroundTruth, rows: IntArray | slice) -> GroundTruth:
    return GroundTruth(boxes.xywh[rows], boxes.classes[rows], boxes.areas[rows], boxes.crowd[rows])


def _boxes(annotations: Sequence[Record], path: Path) -> NDArray[np.float64]:
    """Left, top, width, height of each annotation (N, 4); not a number where it has no box."""
    boxes = [record.get("bbox") or _NO_BOX for record in annotations]
    if not _are_plain(boxes):
        boxes = [_box(box, path) for box in boxes]
    return np.array(boxes, np.float64).reshape(-1, 4)


def _are_plain(boxes: Sequence[Any]) -> bool:
    """Whether these are lists of four numbers of ordinary size, all of them."""
    if not set(map(type, boxes)) <= {list, tuple} or not set(map(len, boxes)) <= {4}:
        return False
    kinds = set(map(type, chain.from_iterable(boxes)))
    return kinds <= {float} or (kinds <= {int, float} and _fits(max(map(abs, chain.from_iterable(boxes)))))


def _box(box: Any, path: Path) -> list[float]:
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(_is_number(value) for value in box):
        raise DataError(f"'{path}': a bbox is {box!r:.60}; COCO wants [left, top, width, height] in pixels")
    return [_float(value) for value in box]


def _areas(annotations: Sequence[Record]) -> NDArray[np.float64]:
    areas = [record.get("area") for record in annotations]
    if not set(map(type, areas)) <= {float}:
        areas = [_float(area) if _is_number(area) else math.nan for area in areas]
    return np.array(areas, np.float64)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _fits(value: float) -> bool:
    return math.isfinite(_float(value))


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf


# --- images ----------------------------------------------------------------------------------------


def _files(path: Path, names: Sequence[str], images: Path | None) -> list[Path]:
    """The image files. Raises DataError where some are missing, before any box is read."""
    folder = images or _image_folder(path, names)
    inner = [inner_name(name) for name in names]
    refuse_missing(path, [os.path.join(folder, name) for name in inner])  # noqa: PTH118  (a million of them)
    return [folder / name for name in inner]


def _samples(
    images: Sequence[Record], files: Sequence[Path], truths: Sequence[GroundTruth]
) -> list[DetectionSample]:
    return [
        DetectionSample(str(image["file_name"]), file, truth, _side(image, "width"), _side(image, "height"))
        for image, file, truth in zip(images, files, truths, strict=False)
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
            "put their folder beside the file or in 'images', or name it with --images"
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
