"""Holding a candidate's detections against FP32's: what is lost, gained and moved, and where."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from calibrant.core.metrics import Score
from calibrant.core.tasks import Evaluated
from calibrant.tasks.detection.agreement import image_shares, pairs
from calibrant.tasks.detection.differences import (
    Box,
    DetectionDifferences,
    GroupAccuracy,
    ImageDifference,
    OperatingPoint,
)
from calibrant.tasks.detection.evidence import MatchTable
from calibrant.tasks.detection.operating import ThresholdCurve, class_precisions, threshold_curve
from calibrant.tasks.detection.score import points
from calibrant.tasks.detection.types import Category, Detections, DetectionSample

SAME_BOX = 0.9
"""Boxes that overlap at least so are the same to a user."""
SHOWN_IMAGES = 12

# COCO's size groups by labelled area, square pixels.
_SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, math.inf)}


@dataclass(frozen=True)
class _Shift:
    """The fields of these names in DetectionDifferences."""

    matched: int
    fp32_score: float | None
    int8_score: float | None
    mean_iou: float | None


def detection_differences(
    calibrator: str,
    samples: Sequence[DetectionSample],
    fp32: Evaluated,
    int8: Evaluated,
    categories: Sequence[Category],
) -> DetectionDifferences:
    """Compare two models' detections of the same labelled images, given in the same order."""
    tables = _table(fp32), _table(int8)
    curves = threshold_curve(tables[0]), threshold_curve(tables[1])
    points = [_operating_point(curve, _threshold(curves[0])) for curve in curves]
    both, each = image_shares(fp32.predictions, int8.predictions).T
    images = [
        _image(sample, one, two, points[0].threshold, categories, float(missing))
        for sample, one, two, missing in zip(
            samples, fp32.predictions, int8.predictions, each - 2 * both, strict=True
        )
    ]
    worst = sorted(images, key=lambda image: -image.disagreement)[:SHOWN_IMAGES]
    fates = [box.fate for image in images for box in image.fp32]
    return DetectionDifferences(
        calibrator=calibrator,
        images=len(samples),
        fp32=points[0],
        int8=points[1],
        fp32_boxes=len(fates),
        int8_boxes=sum(len(image.int8) for image in images),
        kept=fates.count("kept"),
        moved=fates.count("moved"),
        lost=fates.count("lost"),
        gained=sum(image.gained for image in images),
        **asdict(_shift(fp32.predictions, int8.predictions, points[0].threshold)),
        groups=(*_sizes(samples, fp32.score, int8.score), *_classes(*tables, categories)),
        worst_images=tuple(image for image in worst if image.disagreement > 0),
    )


def _table(found: Evaluated) -> MatchTable:
    """The matches behind a score."""
    assert isinstance(found.score.evidence, MatchTable)
    return found.score.evidence


def _threshold(curve: ThresholdCurve) -> float:
    return float(curve.scores[curve.best]) if len(curve.scores) else 1.0


def _operating_point(curve: ThresholdCurve, fp32_threshold: float) -> OperatingPoint:
    if not len(curve.scores):
        return OperatingPoint(1.0, 0.0, 0.0, 0.0, 0.0)
    best = curve.best
    return OperatingPoint(
        threshold=float(curve.scores[best]),
        precision=float(curve.precision[best]),
        recall=float(curve.recall[best]),
        f1=float(curve.f1[best]),
        f1_at_fp32=curve.f1_at(fp32_threshold),
    )


def _image(
    sample: DetectionSample,
    fp32: Detections,
    int8: Detections,
    threshold: float,
    categories: Sequence[Category],
    disagreement: float,
) -> ImageDifference:
    one, two = _above(fp32, threshold), _above(int8, threshold)
    matched = pairs(one, two)
    before = _boxes(one, {row: iou for row, _, iou in matched}, "lost", categories)
    after = _boxes(two, {column: iou for _, column, iou in matched}, "gained", categories)
    return ImageDifference(
        image=sample.id,
        path=str(sample.path),
        disagreement=disagreement,
        lost=len(before) - len(matched),
        gained=len(after) - len(matched),
        moved=sum(box.fate == "moved" for box in before),
        fp32=before,
        int8=after,
    )


def _above(found: Detections, threshold: float) -> Detections:
    kept = found.scores >= np.float32(threshold)
    return Detections(found.boxes[kept], found.scores[kept], found.classes[kept])


def _boxes(
    found: Detections, partners: Mapping[int, float], without: str, categories: Sequence[Category]
) -> tuple[Box, ...]:
    """Boxes with their fates; ``partners`` has the IoU of those that were matched."""
    return tuple(
        Box(
            x1=x1,
            y1=y1,
            x2=x2,
            y2=y2,
            score=round(float(found.scores[index]), 4),
            label=categories[int(found.classes[index])].name,
            fate=_fate(partners.get(index), without),
            iou=partners.get(index),
        )
        for index, (x1, y1, x2, y2) in enumerate(found.boxes.astype(np.float64).round(1).tolist())
    )


def _fate(iou: float | None, without: str) -> str:
    if iou is None:
        return without
    return "kept" if iou >= SAME_BOX else "moved"


def _shift(fp32: Sequence[Detections], int8: Sequence[Detections], threshold: float) -> _Shift:
    """How the scores of the boxes that FP32 shows changed, whatever INT8 gives them."""
    matched = [
        (float(one.scores[row]), float(two.scores[column]), iou)
        for one, two in ((_above(a, threshold), b) for a, b in zip(fp32, int8, strict=True))
        for row, column, iou in pairs(one, two)
    ]
    if not matched:
        return _Shift(0, None, None, None)
    before, after, iou = np.mean(matched, axis=0).tolist()
    return _Shift(len(matched), before, after, iou)


def _sizes(samples: Sequence[DetectionSample], fp32: Score, int8: Score) -> Iterator[GroupAccuracy]:
    areas = np.concatenate([sample.truth.areas[~sample.truth.crowd] for sample in samples] or [np.zeros(0)])
    for name, (least, most) in _SIZES.items():
        boxes = int(((areas >= least) & (areas < most)).sum())
        figures = (score.figure(f"map_{name}") for score in (fp32, int8))
        yield GroupAccuracy("size", name, boxes, *figures)


def _classes(fp32: MatchTable, int8: MatchTable, categories: Sequence[Category]) -> list[GroupAccuracy]:
    before, after = class_precisions(fp32), class_precisions(int8)
    counts = np.bincount(fp32.truth_class, minlength=len(categories))
    groups = [
        GroupAccuracy("class", category.name, int(counts[index]), points(before[index]), points(after[index]))
        for index, category in enumerate(categories)
        if counts[index]
    ]
    return sorted(groups, key=lambda group: -group.boxes)
