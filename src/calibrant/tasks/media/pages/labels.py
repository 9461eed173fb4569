"""Labels of pages: PaddleOCR's file of all images, or ICDAR's file for each."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.core.errors import DataError
from calibrant.tasks.media.files import (
    files_in,
    first,
    folders_in,
    images_in,
    inside,
    is_file,
    is_folder,
    refuse_some,
    text_of,
)
from calibrant.tasks.media.images import IMAGE_SUFFIXES
from calibrant.tasks.media.pages.types import UNREADABLE, LabelledPages, PageSample, Region
from calibrant.tasks.media.polygons import is_simple
from calibrant.tasks.media.tabbed_labels import first_content, label_files_in, require_one, tabbed_lines

FORMS = "PaddleOCR's label file (image<TAB>JSON of points), or a folder of images and ICDAR's gt_IMAGE.txt"


def is_label_file(path: Path) -> bool:
    """Whether a file is a label file of PaddleOCR's for pages."""
    return is_file(path) and path.suffix.lower() == ".txt" and _is_of_pages(first_content(path))


def open_pages(path: Path, limit: int | None = None) -> LabelledPages:
    """Open labelled pages of either form; ``limit`` takes the first, in the file's or the names' order.

    Raises DataError where nothing is there, the form is unknown, or the labels name files that are missing.
    """
    if not (is_file(path) or is_folder(path)):
        raise DataError(f"'{path}' does not exist; give {FORMS}")
    if is_file(path):
        if not _is_of_pages(first_content(path)):
            raise DataError(f"'{path}' does not begin with an image, a tab and JSON; give {FORMS}")
        listed: Path | None = path
    else:
        listed = require_one(path, [file for file, told in label_files_in(path) if _is_of_pages(told)])
    samples = _of_paddle(listed) if listed else _of_icdar(path)
    kept = samples[: first(limit, len(samples))]
    return LabelledPages(*_without_broken(kept))


# --- PaddleOCR -------------------------------------------------------------------------------------


def _is_of_pages(content: str | None) -> bool:
    """Whether what stands behind the first tab is a list of JSON."""
    return content is not None and content.lstrip().startswith("[")


def _of_paddle(path: Path) -> tuple[PageSample, ...]:
    rows = [(line.name, _regions_in(line.content, line.where)) for line in tabbed_lines(path, "JSON")]
    names = [name for name, _ in rows]
    refuse_some(
        [name for name, count in Counter(names).items() if count > 1],
        len(names),
        f"images are labelled more than once in '{path}'",
        "label each once",
    )
    places = [Path(name) if Path(name).is_absolute() else _place(path.parent, name) for name in names]
    refuse_some(
        [name for name, place in zip(names, places, strict=True) if not is_file(place)],
        len(names),
        f"images labelled in '{path}' do not exist",
        "names are relative to the label file's folder",
    )
    return tuple(PageSample(name, place, found) for (name, found), place in zip(rows, places, strict=True))


def _place(folder: Path, name: str) -> Path:
    """Where an image lies: PaddleOCR's names often begin with the folder's own."""
    place = inside(folder, name)
    return place if is_file(place) else inside(folder.parent, name)


def _regions_in(content: str, where: str) -> tuple[Region, ...]:
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{where} holds no JSON ({error}); write a list of points and transcription"
        ) from error
    if not isinstance(entries, list):
        raise DataError(f"{where} holds no list; write a list of points and transcription")
    return tuple(_region(entry, where) for entry in entries)


def _region(entry: Any, where: str) -> Region:
    points = entry.get("points") if isinstance(entry, dict) else None
    is_outline = (
        isinstance(points, list)
        and len(points) >= 3
        and all(
            isinstance(point, list) and len(point) == 2 and all(map(_is_number, point)) for point in points
        )
    )
    if not is_outline:
        raise DataError(f"{where} has an entry without points; write points as [[x, y], …] of 3 or more")
    text = entry.get("transcription", "")
    text = text if isinstance(text, str) else str(text)
    return Region(np.array(points, np.float32), text, text in UNREADABLE)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# --- ICDAR -----------------------------------------------------------------------------------------


def _of_icdar(folder: Path) -> tuple[PageSample, ...]:
    """Images of a folder, or of one beside the labels', each with the file that its name tells."""
    folders = (folder, *folders_in(folder)) if is_folder(folder) else ()
    labels = {file.stem.removeprefix("gt_"): file for place in folders for file in files_in(place, [".txt"])}
    images = {file.stem: file for place in folders for file in files_in(place, IMAGE_SUFFIXES)}
    both = [name for name in sorted(images) if name in labels]
    if not both:
        count = len(images_in(folder)) if is_folder(folder) else 0
        raise DataError(
            f"'{folder}' holds {count} images but no labels of pages that can be read; give {FORMS}"
        )
    return tuple(PageSample(images[name].name, images[name], tuple(_rows(labels[name]))) for name in both)


def _rows(path: Path) -> Iterator[Region]:
    """ICDAR's rows: eight numbers and the text (2015, 2017), or left, top, right, bottom and it (2013)."""
    for number, line in enumerate(text_of(path).splitlines(), 1):
        if not line.strip():
            continue
        is_quoted = "," not in line.split('"')[0]
        cells = next(csv.reader([line], delimiter=" ")) if is_quoted else line.split(",")
        numbers = _leading_numbers(cells)
        if len(numbers) < 4:
            raise DataError(
                f"line {number} of '{path}' has no corners: {line[:60]!r}; write x1,y1,x2,y2,x3,y3,x4,y4,text"
            )
        count = 8 if len(numbers) >= 8 else 4
        text = (" " if is_quoted else ",").join(cells[count:]).strip()
        yield Region(_outline(numbers[:count]), text, text in UNREADABLE)


def _leading_numbers(cells: Sequence[str]) -> list[float]:
    numbers: list[float] = []
    for cell in cells[:8]:
        try:
            value = float(cell)
        except ValueError:
            break
        if not math.isfinite(value):
            break
        numbers.append(value)
    return numbers


def _outline(numbers: Sequence[float]) -> Any:
    if len(numbers) == 8:
        return np.array(numbers, np.float32).reshape(4, 2)
    left, top, right, bottom = numbers
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


# --- both ------------------------------------------------------------------------------------------


def _without_broken(samples: Sequence[PageSample]) -> tuple[tuple[PageSample, ...], tuple[str, ...]]:
    """Pages without outlines that cross themselves or are empty, as the evaluator leaves them out."""
    kept = tuple(
        PageSample(
            sample.id, sample.path, tuple(region for region in sample.regions if is_simple(region.outline))
        )
        for sample in samples
    )
    total = sum(len(sample.regions) for sample in samples)
    dropped = total - sum(len(sample.regions) for sample in kept)
    example = next(
        (old.id for old, new in zip(samples, kept, strict=True) if len(old.regions) > len(new.regions)), ""
    )
    warnings = (
        f"{dropped} of {total} outlines cross themselves or are empty, e.g. in {example!r}; they were dropped"
    )
    return kept, (warnings,) if dropped else ()
