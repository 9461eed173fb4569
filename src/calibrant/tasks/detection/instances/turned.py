"""Boxes with an angle: overlap as a probability, exact overlap, suppression.

A turned box is centre x, centre y, width, height (pixels) and an angle (radians, clockwise in the image).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Turned = NDArray[Any]

_TINY = 1e-7


def probable_overlap(ours: Turned, theirs: Turned) -> NDArray[np.float64]:
    """How far turned boxes (N, 5) and (M, 5) overlap, taken as Gaussians, 0..1, shape (N, M).

    Source: Llerena et al., "Gaussian Bounding Boxes and Probabilistic Intersection-over-Union", 2021: 1 minus
    the Hellinger distance; constants as Ultralytics has them.
    """
    a, b = np.asarray(ours, np.float64)[:, None], np.asarray(theirs, np.float64)[None]
    (a1, b1, c1), (a2, b2, c2) = _covariance(a), _covariance(b)
    along, across, mixed = a1 + a2, b1 + b2, c1 + c2
    dx, dy = a[..., 0] - b[..., 0], a[..., 1] - b[..., 1]
    spread = along * across - mixed**2
    first = (along * dy**2 + across * dx**2) / (spread + _TINY) * 0.25
    second = mixed * -dx * dy / (spread + _TINY) * 0.5
    own = np.sqrt(np.clip(a1 * b1 - c1**2, 0, None) * np.clip(a2 * b2 - c2**2, 0, None))
    third = np.log(spread / (4 * own + _TINY) + _TINY) * 0.5
    distance = np.clip(first + second + third, _TINY, 100.0)
    result: NDArray[np.float64] = 1 - np.sqrt(1 - np.exp(-distance) + _TINY)
    return result


def exact_overlap(ours: Turned, theirs: Turned) -> NDArray[np.float64]:
    """Intersection over union of turned boxes as polygons, shape (N, M)."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    result = np.zeros((len(ours), len(theirs)))
    left, right = polygons(ours), polygons(theirs)
    (one, _), (two, _) = envelopes(ours), envelopes(theirs)
    for row in range(len(ours)):
        near = (one[row, :2] < two[:, 2:]).all(axis=1) & (two[:, :2] < one[row, 2:]).all(axis=1)
        for column in np.flatnonzero(near):
            shared = _shared_area(left[row], right[column])
            union = ours[row, 2] * ours[row, 3] + theirs[column, 2] * theirs[column, 3] - shared
            result[row, column] = shared / union if union > 0 else 0.0
    return result


def polygons(boxes: Turned) -> NDArray[np.float64]:
    """The four corners of turned boxes (N, 5), shape (N, 4, 2)."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 5)
    cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    along = np.stack([boxes[:, 2] / 2 * cos, boxes[:, 2] / 2 * sin], axis=1)
    across = np.stack([-boxes[:, 3] / 2 * sin, boxes[:, 3] / 2 * cos], axis=1)
    centre = boxes[:, :2]
    return np.stack(
        [centre + along + across, centre + along - across, centre - along - across, centre - along + across],
        axis=1,
    )


def envelopes(boxes: Turned) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Upright corners (N, 4) around turned boxes, and their areas (N,)."""
    points = polygons(boxes)
    upright = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1).astype(np.float32)
    return upright.reshape(-1, 4), np.asarray(boxes, np.float64).reshape(-1, 5)[:, 2:4].prod(axis=1)


def of_corners(points: NDArray[Any]) -> NDArray[np.float64]:
    """The smallest turned box around corners (K, 2), shape (5,): OpenCV's minAreaRect, as Ultralytics."""
    (x, y), (width, height), degrees = cv2.minAreaRect(np.asarray(points, np.float32))
    return np.array([x, y, width, height, np.deg2rad(degrees)], np.float64)


def _shared_area(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The area that two convex polygons share. Source: Sutherland and Hodgman, 1974."""
    points = list(one)
    for start, end in zip(other, np.roll(other, -1, axis=0), strict=True):
        points = _cut(points, start, end - start)
        if len(points) < 3:
            return 0.0
    x, y = np.array(points).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _cut(
    points: list[NDArray[np.float64]], start: NDArray[np.float64], along: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """What of a polygon lies on the inner side of an edge."""
    sides = [along[1] * (point[0] - start[0]) - along[0] * (point[1] - start[1]) for point in points]
    kept = []
    for at, (point, side) in enumerate(zip(points, sides, strict=True)):
        before, other = points[at - 1], sides[at - 1]
        if side * other < 0:
            kept.append(before + (point - before) * (other / (other - side)))
        if side >= 0:
            kept.append(point)
    return kept


def kept_turned(
    boxes: Turned, scores: NDArray[Any], classes: NDArray[np.int64], limit: float
) -> NDArray[np.int64]:
    """Indices that stay, best first: those that no better one of their class overlaps by ``limit`` or more.

    A better one counts though it goes itself, as in Ultralytics' suppression of turned boxes.
    """
    order = np.argsort(-scores, kind="stable")
    stays = np.ones(len(order), np.bool_)
    for label in np.unique(classes):
        mine = np.flatnonzero(classes[order] == label)
        overlaps = np.triu(probable_overlap(boxes[order[mine]], boxes[order[mine]]), k=1)
        stays[mine] = (overlaps < limit).all(axis=0)
    return order[stays]


def _covariance(
    boxes: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    along, across = boxes[..., 2] ** 2 / 12, boxes[..., 3] ** 2 / 12
    cos, sin = np.cos(boxes[..., 4]), np.sin(boxes[..., 4])
    return along * cos**2 + across * sin**2, along * sin**2 + across * cos**2, (along - across) * cos * sin
