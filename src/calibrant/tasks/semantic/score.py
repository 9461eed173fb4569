"""Maps of classes against masks: the mean intersection over union, as segmentation benchmarks count it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibrant.core.metrics import Figure, Metric, Score
from calibrant.tasks.media.images import read_numbers
from calibrant.tasks.semantic.evidence import PixelCounts
from calibrant.tasks.semantic.types import ClassMap, MaskValues, SegmentedImage

MIOU = Metric("miou", "mIoU", floor=0.01)
"""The mean of the classes' intersections over unions, pixels of all images together."""


def counted(labelled: NDArray[np.uint16], found: NDArray[np.uint16], classes: int) -> NDArray[np.int64]:
    """Right, labelled and predicted pixels of each class (3, C); pixels of no labelled class do not count."""
    is_labelled = labelled < classes
    wanted, given = labelled[is_labelled], found[is_labelled]
    parts = (wanted[wanted == given], wanted, given[given < classes])
    return np.array([np.bincount(part, minlength=classes) for part in parts], np.int64)


def evidence_of(
    samples: Sequence[SegmentedImage], predictions: Sequence[ClassMap], values: MaskValues, classes: int
) -> PixelCounts:
    """What of each image is right; one prediction for each sample, in the same order. Raises ImageError."""
    rows = [
        counted(values.classes_of(read_numbers(sample.mask)), found.classes, classes)
        for sample, found in zip(samples, predictions, strict=True)
    ]
    table = np.array(rows, np.int64).reshape(-1, 3, classes)
    return PixelCounts(*(np.ascontiguousarray(table[:, index]) for index in range(3)))


def score(
    samples: Sequence[SegmentedImage], predictions: Sequence[ClassMap], values: MaskValues, classes: int
) -> Score:
    """The mean IoU; beside it pixel accuracy, the mean of the classes' accuracies, the worst class's IoU."""
    evidence = evidence_of(samples, predictions, values, classes)
    value = float(evidence.resample(np.ones((1, len(samples)), np.int64))[0])
    right, labelled = evidence.right.sum(axis=0), evidence.labelled.sum(axis=0)
    ious = evidence.ious()[labelled > 0]
    accuracies = right[labelled > 0] / labelled[labelled > 0]
    figures = (
        Figure("pixel accuracy", _percent(right.sum() / labelled.sum()) if labelled.sum() else None),
        Figure("mean accuracy", _percent(accuracies.mean()) if len(accuracies) else None),
        Figure("worst class", _percent(ious.min()) if len(ious) else None),
    )
    return Score(MIOU, value, figures, evidence)


def _percent(share: float) -> float:
    return round(100 * float(share), 4)
