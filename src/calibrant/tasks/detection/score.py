"""The COCO score: its twelve numbers, by hotcoco, and the evidence to resample the first of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.metrics import Figure, Metric, Score
from calibrant.tasks.detection.evidence import MatchTable, joined, match, owners, xywh_of
from calibrant.tasks.detection.types import Category, Detections, DetectionSample, GroundTruth

MAP = Metric("map50_95", "mAP", "mAP50-95", floor=0.01)
"""Below one point a float model finds next to nothing."""

DETAILS = (
    "map50", "map75", "map_small", "map_medium", "map_large",
    "ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip
"""COCO's numbers after the first, in the order in which COCO gives them."""


def score(
    samples: Sequence[DetectionSample], detections: Sequence[Detections], categories: Sequence[Category]
) -> Score:
    """Score detections, one for each labelled image, in the same order.

    Each class of an image counts with its 100 best detections, as COCO evaluation does. A number for which no
    box is labelled is nan.
    """
    value, *details = _coco_numbers([sample.truth for sample in samples], detections, categories)
    evidence = evidence_of(samples, detections, categories)
    figures = tuple(Figure(name, points(found)) for name, found in zip(DETAILS, details, strict=True))
    return Score(MAP, value, figures, evidence)


def points(fraction: float) -> float | None:
    """A fraction as points, 0..100; None where it is undefined (nan, or COCO's -1)."""
    return None if math.isnan(fraction) or fraction < 0 else MAP.stored(fraction)


def evidence_of(
    samples: Sequence[DetectionSample], detections: Sequence[Detections], categories: Sequence[Category]
) -> MatchTable:
    """The evidence of :func:`score` alone: less than a third of the work."""
    return match([sample.truth for sample in samples], detections, len(categories))


def _coco_numbers(
    truths: Sequence[GroundTruth], detections: Sequence[Detections], categories: Sequence[Category]
) -> list[float]:
    from hotcoco import COCO, COCOeval

    images = [{"id": index + 1} for index in range(len(truths))]
    classes = [{"id": index + 1, "name": category.name} for index, category in enumerate(categories)]
    labelled = COCO.from_arrays(
        images,
        classes,
        owners([len(truth) for truth in truths]) + 1,
        joined([truth.classes for truth in truths], (), np.int64) + 1,
        joined([truth.xywh for truth in truths], (4,), np.float64),
        area=joined([truth.areas for truth in truths], (), np.float64),
        iscrowd=joined([truth.crowd for truth in truths], (), np.bool_).astype(np.int64),
    )
    evaluation = COCOeval(labelled, labelled.load_res(_result_rows(detections)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summary_lines()  # computes stats; unlike summarize() it does not print
    return [math.nan if number == -1 else float(number) for number in evaluation.stats]


def _result_rows(detections: Sequence[Detections]) -> NDArray[Any]:
    """Rows of image, left, top, width, height, score, class (N, 7), float64, as COCO's loadRes takes them."""
    columns = (
        owners([len(found) for found in detections])[:, None] + 1,
        joined([xywh_of(found) for found in detections], (4,), np.float64),
        joined([found.scores for found in detections], (), np.float64)[:, None],
        joined([found.classes for found in detections], (), np.int64)[:, None] + 1,
    )
    return np.concatenate(columns, axis=1)
