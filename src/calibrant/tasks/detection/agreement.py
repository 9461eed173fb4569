"""How far two models find the same boxes: no labels needed, and far less noise than mAP."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibrant.tasks.detection.types import Detections

LEAST_IOU = 0.5
"""Boxes that overlap less are not the same object."""
LEAST_SCORE = 0.01
"""Weaker boxes weigh next to nothing (scores are squared) and are left out."""


def agreement(reference: Sequence[Detections], found: Sequence[Detections]) -> float:
    """How far two models find the same boxes with the same scores, 0..1, over all images, in the same order.

    A Dice coefficient in which a pair of boxes of one class counts its IoU times both scores, and a box alone
    its squared score; 1 where neither found anything.
    """
    both, each = image_shares(reference, found).sum(axis=0)
    return float(2 * both / each) if each > 0 else 1.0


def image_shares(reference: Sequence[Detections], found: Sequence[Detections]) -> NDArray[np.float64]:
    """For each image, in order: what both models found together and what each found, shape (N, 2).

    ``2 * sum(column 0) / sum(column 1)`` is the :func:`agreement`. Boxes are paired one to one, the found
    model's best first, each with the free reference box that it overlaps most.
    """
    return np.array(
        [_of_image(_strong(ours), _strong(theirs)) for ours, theirs in zip(reference, found, strict=True)]
    ).reshape(-1, 2)


def pairs(reference: Detections, found: Detections) -> tuple[tuple[int, int, float], ...]:
    """Which box of ``found`` is which of ``reference``: (reference index, found index, IoU), one to one."""
    overlaps = _ious(reference.boxes, found.boxes)
    overlaps[reference.classes[:, None] != found.classes[None, :]] = 0.0
    matched: list[tuple[int, int, float]] = []
    for index in np.argsort(-found.scores, kind="stable"):
        best = int(overlaps[:, index].argmax()) if len(reference) else 0
        if len(reference) and overlaps[best, index] >= LEAST_IOU:
            matched.append((best, int(index), float(overlaps[best, index])))
            overlaps[best] = 0.0
    return tuple(matched)


def _of_image(reference: Detections, found: Detections) -> tuple[float, float]:
    both = sum(
        overlap * float(reference.scores[ours]) * float(found.scores[theirs])
        for ours, theirs, overlap in pairs(reference, found)
    )
    each = [float(np.square(boxes.scores, dtype=np.float64).sum()) for boxes in (reference, found)]
    return both, sum(each)


def _strong(boxes: Detections) -> Detections:
    kept = boxes.scores >= LEAST_SCORE
    return Detections(boxes.boxes[kept], boxes.scores[kept], boxes.classes[kept])


def _ious(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Intersection over union of corners (N, 4) and (M, 4), shape (N, M)."""
    a, b = ours.astype(np.float64)[:, None], theirs.astype(np.float64)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.clip(sides, 0, None).prod(axis=-1)
    areas = [np.clip(x[..., 2:] - x[..., :2], 0, None).prod(axis=-1) for x in (a, b)]
    union = areas[0] + areas[1] - shared
    result: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result
