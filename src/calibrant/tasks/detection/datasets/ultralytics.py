"""Ultralytics ``data.yaml`` with YOLO txt labels: https://docs.ultralytics.com/datasets/detect/."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import DataError, ImageError
from calibrant.core.plain_yaml import parsed_yaml
from calibrant.tasks.detection.datasets.assemble import assemble, ground_truth
from calibrant.tasks.detection.types import Category, Dataset, DetectionSample, GroundTruth
from calibrant.tasks.media.files import (
    files_in,
    first,
    is_file,
    is_folder,
    listed_paths,
    refuse_some,
    text_of,
    unique_ids,
)
from calibrant.tasks.media.images import IMAGE_SUFFIXES, image_size

Settings: TypeAlias = Mapping[str, Any]

_SPLITS = ("val", "validation", "test")
_SUFFIXES = frozenset({".yaml", ".yml"})
_SLACK = 0.01
"""How far, in image sides, a normalised number may lie outside of [0, 1], as in Ultralytics."""


def find(path: Path) -> Path | None:
    """The YAML file that ``path`` is, or holds; DataError when it holds more than one."""
    if path.suffix.lower() in _SUFFIXES and is_file(path):
        return path
    if not is_folder(path):
        return None
    if is_file(path / "data.yaml"):
        return path / "data.yaml"
    found = files_in(path, _SUFFIXES)
    if len(found) > 1:
        raise DataError(
            f"{len(found)} YAML files are in '{path}', e.g. '{found[0].name}'; give the data set's own"
        )
    return found[0] if found else None


def read(path: Path, limit: int | None = None) -> Dataset:
    """Read a data set's ``val`` (or ``validation``) images, else its ``test`` images, and their txt labels.

    Images of a folder are in order of their names below it, those of a list in its order, with paths from the
    list's folder or from the data set's root; the first ``limit`` are taken. An image without a label file
    has no objects. Of a polygon, the box around it is taken. Pixels come from the sizes in the image headers.
    Raises DataError.
    """
    settings = _settings(path)
    categories = _categories(settings, path)
    split, images, folders = _images(settings, path)
    labels = [label_file(image) for image in images]
    _refuse_unlabelled(path, images, labels)
    _refuse_orphans(folders, images)
    count = first(limit, len(images))
    columns = 5 if "kpt_shape" in settings else None
    names = unique_ids(images)[:count]
    samples = [
        _sample(name, image, label, len(categories), columns)
        for name, image, label in zip(names, images, labels, strict=False)
    ]
    if all(sample.width is None for sample in samples):
        image_size(images[0])  # raises what is wrong with it, rather than that no box can be used
    remarks = _remark_on_unlabelled(names, labels[:count])
    return assemble(path, categories, samples, remarks, f"{path.stem} ({split})")


def training_images(path: Path) -> Path | None:
    """The folder or list that a data set's ``train`` names; None: it names none.

    Raises DataError, also where images are tested on that were trained on.
    """
    settings = _settings(path)
    entry = settings.get("train")
    if isinstance(entry, list) and len(entry) == 1:
        entry = entry[0]
    if not entry:
        return None
    if not isinstance(entry, str):
        raise DataError(f"'{path}': 'train' is more than one path; name one for calibration with --calib")
    source = _source(entry, settings, path)
    split, tested, _ = _images(settings, path)
    shared = {image.resolve() for image in tested} & {
        image.resolve() for image in _images_of(source, _roots(settings, path))
    }
    if shared:
        raise DataError(
            f"'{path}': {len(shared)} of {len(tested)} images of '{split}' are in 'train' too, e.g. "
            f"'{min(shared).name}'; give other calibration samples with --calib"
        )
    return source


# --- data.yaml -------------------------------------------------------------------------------------


def _settings(path: Path) -> Settings:
    try:
        settings = parsed_yaml(text_of(path))
    except ValueError as error:
        raise DataError(f"'{path}' is not valid YAML ({error!s:.120}); write it again") from error
    if not isinstance(settings, dict) or not {"names", "nc", *_SPLITS} & set(map(str, settings)):
        raise DataError(
            f"'{path}' does not describe a data set; an Ultralytics data.yaml has 'val' and 'names'"
        )
    return settings


def _categories(settings: Settings, path: Path) -> tuple[Category, ...]:
    count, names = settings.get("nc"), settings.get("names")
    if names is None and isinstance(count, int) and 0 < count <= 100_000:
        names = [f"class {index}" for index in range(count)]
    names = _by_number(names)
    if not isinstance(names, dict) or not names or set(names) != set(range(len(names))):
        raise DataError(f"'{path}': 'names' must list the classes, or map 0, 1, 2, ... to them; correct it")
    if count is not None and count != len(names):
        raise DataError(
            f"'{path}': nc is {count!r:.40} but {len(names)} names are given; correct one of them"
        )
    wrong = [repr(name)[:40] for name in names.values() if isinstance(name, bool | list | dict | None)]
    refuse_some(wrong, len(names), f"names in '{path}' are not text", "put them in quotes")
    return tuple(Category(index, str(names[index])) for index in range(len(names)))


def _by_number(names: Any) -> Any:
    """A list of names, or names by number as YAML or JSON writes it (``"0": person``), by number."""
    if isinstance(names, list):
        return dict(enumerate(names))
    if isinstance(names, dict) and all(isinstance(key, str) and key.isdecimal() for key in names):
        return {int(key): name for key, name in names.items()}
    return names


# --- images ----------------------------------------------------------------------------------------


def _images(settings: Settings, path: Path) -> tuple[str, tuple[Path, ...], tuple[Path, ...]]:
    """The split's name, its images, and those of its sources that are folders."""
    split = next((name for name in _SPLITS if settings.get(name)), None)
    if split is None:
        raise DataError(f"'{path}' names no images; add 'val:' with a folder or a list file")
    entries = settings[split] if isinstance(settings[split], list) else [settings[split]]
    if not all(isinstance(entry, str) for entry in entries):
        raise DataError(f"'{path}': '{split}' must be a path or a list of paths; correct it")
    sources = [_source(entry, settings, path) for entry in entries]
    folders = tuple(source for source in sources if is_folder(source))
    roots = _roots(settings, path)
    images = tuple(image for source in sources for image in _images_of(source, roots))
    if not images:
        raise DataError(f"no images are in '{sources[0]}', named by '{split}' of '{path}'; put them there")
    return split, tuple(dict.fromkeys(images)), folders


def _source(entry: str, settings: Settings, path: Path) -> Path:
    """The folder or list file that an entry means, seen from the data set's root or from the YAML file.

    Roboflow writes ``../valid/images`` where ``valid/images`` is meant, and Ultralytics takes it so.
    """
    names = [entry, entry.removeprefix("../")]
    candidates = [root / name for root in _roots(settings, path) for name in names]
    for candidate in candidates:
        if is_file(candidate) or is_folder(candidate):
            return candidate
    raise DataError(f"'{candidates[0]}', named in '{path}', does not exist; correct 'path:' or {entry!r}")


def _roots(settings: Settings, path: Path) -> list[Path]:
    """What paths may be relative to: the data set's root, and the YAML file's folder."""
    here = path.absolute().parent
    return [here / str(settings.get("path") or ""), here]


def _images_of(source: Path, roots: Sequence[Path]) -> tuple[Path, ...]:
    if is_folder(source):
        return files_in(source, IMAGE_SUFFIXES, recursive=True)
    if source.suffix.lower() == ".txt":
        return listed_paths(source, roots)
    raise DataError(f"'{source}' is neither a folder of images nor a .txt list of them; give one of these")


# --- labels ----------------------------------------------------------------------------------------


def label_file(image: Path) -> Path | None:
    """The txt file of an image: under ``labels`` instead of the last ``images``, or beside it."""
    parts = image.parts
    places = [image.with_suffix(".txt")]
    if "images" in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index("images")
        places.insert(0, Path(*parts[:last], "labels", *parts[last + 1 :]).with_suffix(".txt"))
    return next((place for place in places if is_file(place)), None)


def _refuse_unlabelled(path: Path, images: Sequence[Path], labels: Sequence[Path | None]) -> None:
    if not any(labels):
        raise DataError(
            f"none of the {len(images)} images of '{path}' has a label file, e.g. '{images[0]}'; "
            "put txt files in 'labels' beside 'images', or beside each image"
        )


def _remark_on_unlabelled(names: Sequence[str], labels: Sequence[Path | None]) -> list[str]:
    bare = [name for name, label in zip(names, labels, strict=True) if label is None]
    if not bare:
        return []
    return [f"{len(bare)} of {len(names)} images have no label file, e.g. {bare[0]!r}; they count as empty"]


def _refuse_orphans(folders: Sequence[Path], images: Sequence[Path]) -> None:
    """Refuse label files, in the ``labels`` folders of whole image folders, whose image is missing."""
    known = {image.with_suffix("") for image in images}
    for folder in folders:
        if "images" not in folder.parts:
            continue
        last = len(folder.parts) - 1 - folder.parts[::-1].index("images")
        labels = Path(*folder.parts[:last], "labels", *folder.parts[last + 1 :])
        texts = files_in(labels, {".txt"}, recursive=True) if is_folder(labels) else ()
        wanted = [text for text in texts if text.name not in {"classes.txt", "labels.txt"}]
        lost = [
            str(text) for text in wanted if folder / text.relative_to(labels).with_suffix("") not in known
        ]
        refuse_some(
            lost, len(wanted), f"label files have no image in '{folder}'", "add the images or move them out"
        )


def _sample(
    name: str, image: Path, label: Path | None, class_count: int, columns: int | None
) -> DetectionSample:
    try:
        width, height = image_size(image)
    except ImageError:  # named and counted when the images are checked; no box of it can be used
        return DetectionSample(name, image, ground_truth([], []))
    truth = ground_truth([], []) if label is None else _truth(label, width, height, class_count, columns)
    return DetectionSample(name, image, truth, width, height)


def _truth(label: Path, width: int, height: int, class_count: int, columns: int | None) -> GroundTruth:
    lines = [line.split()[:columns] for line in text_of(label).splitlines() if line.strip()]
    rows = [_row(fields, label, class_count) for fields in lines]
    unique = list(dict.fromkeys(rows))  # as Ultralytics, which counts a repeated line once
    boxes = np.array([row[1:] for row in unique], np.float64).reshape(-1, 4)
    return ground_truth(_pixels(boxes, width, height), [row[0] for row in unique])


def _row(fields: Sequence[str], label: Path, class_count: int) -> tuple[float, float, float, float, float]:
    """Class, centre x, centre y, width and height of one line; all but the class in image sides."""
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        raise _bad_line(label, fields, "is not made of numbers") from None
    index, values = numbers[0], numbers[1:]
    if not 0 <= index < class_count or index != math.floor(index):
        raise _bad_line(label, fields, f"has a class that is not among 0..{class_count - 1}")
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        raise _bad_line(label, fields, "is neither 'class x y w h' nor a class and a polygon")
    if not all(-_SLACK <= value <= 1 + _SLACK for value in values):
        raise _bad_line(label, fields, "has numbers outside 0..1 (they must be divided by the image's size)")
    return (index, *(values if len(values) == 4 else _around(values)))


def _around(polygon: Sequence[float]) -> tuple[float, float, float, float]:
    xs, ys = polygon[::2], polygon[1::2]
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def _pixels(boxes: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    """Centre boxes in image sides to left, top, width, height in pixels; shapes (N, 4)."""
    size = np.array([width, height], np.float64)
    return np.concatenate([(boxes[:, :2] - boxes[:, 2:] / 2) * size, boxes[:, 2:] * size], axis=1)


def _bad_line(label: Path, fields: Sequence[str], fact: str) -> DataError:
    return DataError(f"a line of '{label}' {fact}, e.g. {' '.join(fields)!r:.60}; correct it")
