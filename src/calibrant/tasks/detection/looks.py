"""What one image shows: classes, sizes and brightness of what is in it, and how it looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibrant.core.tasks import Look
from calibrant.core.types import IntArray
from calibrant.tasks.detection.types import Category, Detections, DetectionSample
from calibrant.tasks.media.appearance import appearance_of
from calibrant.tasks.media.samples import CalibrationSample

FOUND_SCORE = 0.3
"""The float model's detections count as seen from this score on."""

SIZE, BRIGHTNESS, CLASS = "size", "brightness", "class"
SIZES = ("small", "medium", "large")
_AREAS = (32.0**2, 96.0**2)  # square pixels, COCO's limits between the three


def look_at(
    sample: DetectionSample | CalibrationSample,
    prediction: Detections | None,
    categories: Sequence[Category],
) -> Look | None:
    """An image by its labelled boxes, crowds left out, or by the detections of :data:`FOUND_SCORE` or more.

    None for a preprocessed array. Raises ImageError.
    """
    if sample.path is None:
        return None
    looks = appearance_of(sample.path)
    classes, areas = _found(prediction) if prediction is not None else _labelled(sample)
    features = Counter((CLASS, categories[index].name) for index in classes)
    features.update((SIZE, SIZES[index]) for index in np.searchsorted(_AREAS, areas, side="right"))
    features[BRIGHTNESS, looks.band] += 1
    return Look(features, looks.hash)


def _found(detections: Detections) -> tuple[IntArray, NDArray[np.float64]]:
    sure = detections.scores >= FOUND_SCORE
    sides = np.maximum(detections.boxes[:, 2:] - detections.boxes[:, :2], 0)
    areas = (sides[:, 0] * sides[:, 1]).astype(np.float64)
    return detections.classes[sure], areas[sure]


def _labelled(sample: DetectionSample | CalibrationSample) -> tuple[IntArray, NDArray[np.float64]]:
    truth = getattr(sample, "truth", None)
    if truth is None:
        return np.zeros(0, np.int64), np.zeros(0)
    return truth.classes[~truth.crowd], truth.areas[~truth.crowd]
