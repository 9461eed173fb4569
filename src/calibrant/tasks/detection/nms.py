"""Non-maximum suppression: of boxes that overlap, the best of each class stays."""

from __future__ import annotations

import numpy as np

from calibrant.core.types import IntArray
from calibrant.tasks.detection.decode.candidates import Candidates


def non_maximum_suppression(
    candidates: Candidates, iou: float, most: int, class_agnostic: bool = False
) -> IntArray:
    """Indices of the candidates that stay, best first, at most ``most``.

    A candidate goes when its intersection over union with a better one of its class, itself kept, exceeds
    ``iou``. Of equal scores the earlier candidate counts as the better. ``class_agnostic``: one of any class.
    """
    from calibrant.tasks.detection.kernels import greedily_kept

    if not len(candidates):
        return np.arange(0)
    order = by_score(candidates)
    classes = np.zeros_like(order) if class_agnostic else candidates.classes[order]
    boxes = np.ascontiguousarray(candidates.boxes[order], np.float32)
    return order[greedily_kept(boxes, classes, int(classes.max()) + 1, np.float32(iou), most)]


def by_score(candidates: Candidates) -> IntArray:
    """Indices of the candidates, best first, equal scores in their own order."""
    return np.argsort(-candidates.scores, kind="stable")
