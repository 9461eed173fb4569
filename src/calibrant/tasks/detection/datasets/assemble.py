"""What all label formats have in common: boxes are cleaned, images are found, emptiness is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from calibrant.core.errors import DataError
from calibrant.tasks.detection.types import Category, Dataset, DetectionSample, GroundTruth
from calibrant.tasks.media.files import is_file, refuse_some

LARGEST_COORDINATE = 1e7
"""Pixels; no image is that wide, so a number beyond it is a mistake."""


def ground_truth(
    xywh: ArrayLike, classes: ArrayLike, areas: ArrayLike | None = None, crowd: ArrayLike | None = None
) -> GroundTruth:
    """Labelled boxes from N rows of left, top, width, height (pixels); areas default to width * height."""
    boxes = np.asarray(xywh, np.float64).reshape(-1, 4)
    with np.errstate(over="ignore", invalid="ignore"):
        box_areas = boxes[:, 2] * boxes[:, 3]
    return GroundTruth(
        boxes,
        np.asarray(classes, np.int64).reshape(-1),
        box_areas if areas is None else np.asarray(areas, np.float64).reshape(-1),
        np.zeros(len(boxes), bool) if crowd is None else np.asarray(crowd, bool).reshape(-1),
    )


def assemble(
    source: Path,
    categories: Sequence[Category],
    samples: Sequence[DetectionSample],
    warnings: Sequence[str] = (),
    name: str | None = None,
) -> Dataset:
    """A data set of labelled images, all there, with usable boxes.

    Boxes that are empty, negative, not finite or absurdly large are dropped with a warning, as no model
    can find them; those that lie outside their image are kept, as COCO's tools do, with a warning.
    Raises DataError when images are missing or no box is left.
    """
    refuse_missing(source, [sample.path for sample in samples])
    kept = tuple(replace(sample, truth=_usable(sample.truth)) for sample in samples)
    if not any(len(sample.truth) for sample in kept):
        raise DataError(
            f"the first {len(samples)} images of '{source}' have no usable labelled box; "
            "a test set needs labels (check the label files, or raise --limit)"
        )
    remarks = (*warnings, *_remark_on_dropped(samples, kept), *_remark_on_outside(kept))
    return Dataset(name or source.stem, source, tuple(categories), kept, remarks)


def refuse_missing(source: Path, images: Sequence[Path | str]) -> None:
    """Raise DataError, with the count and an example, unless all images that ``source`` labels are there."""
    refuse_some(
        [str(image) for image in images if not is_file(image)],
        len(images),
        f"images labelled in '{source}' are missing",
        "put them there, or take them out of the labels",
    )


def _usable(truth: GroundTruth) -> GroundTruth:
    with np.errstate(invalid="ignore"):
        sane = (np.abs(truth.xywh) < LARGEST_COORDINATE).all(axis=1)
        keep = sane & (truth.xywh[:, 2:] > 0).all(axis=1)
    if keep.all():
        return truth
    return GroundTruth(truth.xywh[keep], truth.classes[keep], truth.areas[keep], truth.crowd[keep])


def _remark_on_dropped(before: Sequence[DetectionSample], after: Sequence[DetectionSample]) -> list[str]:
    lost = [(old.id, len(old.truth) - len(new.truth)) for old, new in zip(before, after, strict=True)]
    affected = [name for name, count in lost if count]
    if not affected:
        return []
    count = sum(count for _, count in lost)
    total = sum(len(sample.truth) for sample in before)
    fact = f"{count} of {total} boxes are missing, empty or not finite, e.g. in {affected[0]!r}"
    return [f"{fact}; they were dropped"]


def _remark_on_outside(samples: Sequence[DetectionSample]) -> list[str]:
    outside = {sample.id: count for sample in samples if (count := _count_outside(sample))}
    if not outside:
        return []
    total = sum(len(sample.truth) for sample in samples)
    return [
        f"{sum(outside.values())} of {total} boxes lie outside their image, e.g. in {next(iter(outside))!r}; "
        "check that the labels are in pixels of these images"
    ]


def _count_outside(sample: DetectionSample) -> int:
    """How many boxes share no pixel with the image."""
    if sample.width is None or sample.height is None:
        return 0
    boxes = sample.truth.boxes
    beyond = (boxes[:, :2] >= (sample.width, sample.height)) | (boxes[:, 2:] <= 0)
    return int(beyond.any(axis=1).sum())
