"""Areas of polygons and of what two of them share, exactly; polygons are (K, 2) arrays of corners, pixels."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Polygon: TypeAlias = NDArray[Any]


def area(polygon: Polygon) -> float:
    """The area of a simple polygon, whichever way round it goes (the shoelace formula)."""
    return abs(_signed_area(np.asarray(polygon, np.float64)))


def is_simple(polygon: Polygon) -> bool:
    """Whether a polygon has an area and its sides meet in its corners only."""
    corners = _distinct(np.asarray(polygon, np.float64))
    count = len(corners)
    if count < 3 or not np.isfinite(corners).all() or _signed_area(corners) == 0:
        return False
    sides = [(corners[index], corners[(index + 1) % count]) for index in range(count)]
    return not any(
        _touch(*sides[first], *sides[second])
        for first in range(count)
        for second in range(first + 2, count)
        if (first, second) != (0, count - 1)
    )


def shared_area(one: Polygon, other: Polygon) -> float:
    """The area that two simple polygons share.

    ``other`` is a fan of triangles with signs, and ``one`` is cut by each (Sutherland and Hodgman 1974); the
    signed areas add up whether or not either polygon is convex.
    """
    ours, theirs = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if (ours.max(0) <= theirs.min(0)).any() or (theirs.max(0) <= ours.min(0)).any():
        return 0.0
    total = 0.0
    for index in range(1, len(theirs) - 1):
        triangle = theirs[[0, index, index + 1]]
        signed = _signed_area(triangle)
        if signed:
            part = abs(_signed_area(_cut(ours, triangle if signed > 0 else triangle[::-1])))
            total += part if signed > 0 else -part
    return abs(total)


def overlap(one: Polygon, other: Polygon) -> float:
    """Intersection over union of two simple polygons, 0..1."""
    shared = shared_area(one, other)
    return shared / (area(one) + area(other) - shared) if shared else 0.0


def _signed_area(corners: NDArray[np.float64]) -> float:
    if len(corners) < 3:
        return 0.0
    x, y = (corners - corners[0]).T  # near zero, where doubles are densest
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _cut(polygon: NDArray[np.float64], triangle: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of a polygon within a triangle of positive area; parts may hang together by empty bridges."""
    for start, end in zip(triangle, np.roll(triangle, -1, 0), strict=True):
        if not len(polygon):
            break
        along = end - start
        heights = along[0] * (polygon[:, 1] - start[1]) - along[1] * (polygon[:, 0] - start[0])
        kept: list[NDArray[np.float64]] = []
        for index, height in enumerate(heights):
            before = heights[index - 1]
            if (height >= 0) != (before >= 0):
                share = before / (before - height)
                kept.append(polygon[index - 1] + share * (polygon[index] - polygon[index - 1]))
            if height >= 0:
                kept.append(polygon[index])
        polygon = np.array(kept).reshape(-1, 2)
    return polygon


def _distinct(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners without those that repeat the one before."""
    kept: NDArray[np.float64] = corners[(corners != np.roll(corners, 1, 0)).any(1)]
    return kept


def _touch(a: Polygon, b: Polygon, c: Polygon, d: Polygon) -> bool:
    """Whether the stretches from a to b and from c to d have a point in common."""
    sides = [_side(a, b, c), _side(a, b, d), _side(c, d, a), _side(c, d, b)]
    if sides[0] != sides[1] and sides[2] != sides[3]:
        return True
    spans = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(
        side == 0 and _spans(start, end, point)
        for side, (start, end, point) in zip(sides, spans, strict=True)
    )


def _side(a: Polygon, b: Polygon, point: Polygon) -> int:
    """On which side of the line from a to b a point lies: -1, 0 (on it) or 1."""
    return int(np.sign((b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])))


def _spans(a: Polygon, b: Polygon, point: Polygon) -> bool:
    """Whether a point of the line from a to b lies between the two."""
    return bool((np.minimum(a, b) <= point).all() and (point <= np.maximum(a, b)).all())
