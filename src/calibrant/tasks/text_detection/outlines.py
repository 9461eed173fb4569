"""From a map of probabilities to outlines: differentiable binarization's way back (Liao et al. 2020, DB).

The steps and their rounding are those of PaddleOCR's DBPostProcess with boxes of four corners, as RapidOCR
runs it: contours of what is text, the smallest rectangle around each, its mean probability, growing.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calibrant.tasks.media.polygons import area
from calibrant.tasks.text_detection.profile import Reading
from calibrant.tasks.text_detection.types import Outlines, no_outlines

_MOST = 1000  # contours that are looked at
_LEAST_SIDE = 3  # pixels of the map, and of the image
_ARC_TOLERANCE = 0.25  # pixels between an arc and its chords, pyclipper's


def outlines_in(scores: NDArray[Any], how: Reading, size: tuple[int, int]) -> Outlines:
    """The outlines in a map (H, W) of probabilities, in pixels of an image of ``size`` (height, width)."""
    text = (scores > how.binarize).astype(np.uint8)
    if how.dilate:
        text = np.asarray(cv2.dilate(text, np.ones((2, 2), np.uint8)), np.uint8)
    contours, _ = cv2.findContours(text * 255, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = [_outline(np.asarray(contour), scores, how, size) for contour in contours[:_MOST]]
    kept = [one for one in found if one is not None]
    if not kept:
        return no_outlines()
    return Outlines(np.stack([corners for corners, _ in kept]), np.array([score for _, score in kept]))


def _outline(
    contour: NDArray[Any], scores: NDArray[Any], how: Reading, size: tuple[int, int]
) -> tuple[NDArray[np.float32], float] | None:
    """A contour's corners and score; None where it is too small or too improbable."""
    corners, side = smallest_rectangle(contour)
    if side < _LEAST_SIDE:
        return None
    score = mean_within(scores, corners)
    if how.box_threshold > score:
        return None
    corners, side = smallest_rectangle(grown(corners, how.unclip))
    if side < _LEAST_SIDE + 2:
        return None
    height, width = scores.shape
    placed = np.round(corners / np.array([width, height], np.float32) * np.array(size[::-1]))
    clipped = _clockwise(np.clip(placed, 0, size[::-1]).astype(np.int32))
    clipped = np.clip(clipped, 0, (size[1] - 1, size[0] - 1)).astype(np.float32)
    sides = (int(np.linalg.norm(clipped[0] - clipped[other])) for other in (1, 3))
    return (clipped, score) if min(sides) > _LEAST_SIDE else None


def smallest_rectangle(points: NDArray[Any]) -> tuple[NDArray[np.float32], float]:
    """The corners (4, 2) of the smallest rectangle around points, from the upper left; its shorter side."""
    rectangle = cv2.minAreaRect(points)
    left, right = np.split(np.array(sorted(cv2.boxPoints(rectangle), key=lambda point: point[0])), 2)
    left, right = (pair if pair[1, 1] > pair[0, 1] else pair[::-1] for pair in (left, right))
    return np.array([left[0], right[0], right[1], left[1]], np.float32), min(rectangle[1])


def mean_within(scores: NDArray[Any], corners: NDArray[np.float32]) -> float:
    """The mean of a map within a quadrangle, whose corners are cut to whole pixels."""
    height, width = scores.shape
    limits = np.array([width - 1, height - 1])
    low = np.clip(np.floor(corners.min(0)).astype(np.int32), 0, limits)
    high = np.clip(np.ceil(corners.max(0)).astype(np.int32), 0, limits)
    mask = np.zeros((high - low + 1)[::-1], np.uint8)
    cv2.fillPoly(mask, [(corners - low).astype(np.int32)], [1])
    return float(cv2.mean(scores[low[1] : high[1] + 1, low[0] : high[0] + 1], mask)[0])


def grown(corners: NDArray[np.float32], unclip: float) -> NDArray[np.int32]:
    """A rectangle grown on all sides by ``unclip`` x area / length, with round corners, in whole pixels.

    As Clipper 6 offsets a closed path with round joins (ClipperOffset): its input is cut to whole numbers,
    arcs are chords that stay within a quarter of a pixel, and points are rounded half away from zero.
    """
    path = corners.astype(np.float64)
    length = float(np.linalg.norm(path - np.roll(path, -1, 0), axis=1).sum())
    distance = area(path) * unclip / length
    path = np.trunc(path)
    path = path[(path != np.roll(path, 1, 0)).any(1)]
    if len(path) < 3 or area(path) == 0:
        return _whole(path)
    x, y = (path - path[0]).T
    if float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) < 0:
        path = path[::-1]
    sides = np.roll(path, -1, 0) - path
    normals = sides[:, ::-1] * (1, -1) / np.linalg.norm(sides, axis=1, keepdims=True)
    tolerance = min(_ARC_TOLERANCE, distance * _ARC_TOLERANCE)
    steps = min(math.pi / math.acos(1 - tolerance / distance), distance * math.pi)
    points = [
        point
        for index, corner in enumerate(path)
        for point in _corner(corner, normals[index - 1], normals[index], distance, steps)
    ]
    return _whole(np.array(points))


def _whole(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Points as OpenCV takes contours."""
    whole: NDArray[np.int32] = points.astype(np.int32).reshape(-1, 1, 2)
    return whole


def _corner(
    corner: NDArray[np.float64],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    distance: float,
    steps: float,
) -> list[NDArray[np.float64]]:
    """The points around one corner, from the normal of the side before to that of the side after.

    steps: the chords of a whole circle.
    """
    turned = float(before[0] * after[1] - after[0] * before[1])
    facing = float(before @ after)
    if abs(turned * distance) < 1.0 and facing > 0:
        return [_rounded(corner + before * distance)]
    angle = math.atan2(max(-1.0, min(1.0, turned)), facing)
    count = max(int(steps / (2 * math.pi) * abs(angle) + 0.5), 1)
    sine, cosine = math.sin(2 * math.pi / steps), math.cos(2 * math.pi / steps)
    x, y = before
    points = []
    for _ in range(count):
        points.append(_rounded(corner + np.array([x, y]) * distance))
        x, y = x * cosine - sine * y, x * sine + y * cosine
    return [*points, _rounded(corner + after * distance)]


def _rounded(point: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.trunc(point + np.copysign(0.5, point))


def _clockwise(corners: NDArray[Any]) -> NDArray[Any]:
    """Upper left, upper right, lower right, lower left: the two leftmost corners first."""
    by_x = corners[np.argsort(corners[:, 0])]
    left, right = (pair[np.argsort(pair[:, 1])] for pair in (by_x[:2], by_x[2:]))
    return np.array([left[0], right[0], right[1], left[1]])
