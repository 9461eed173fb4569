"""COCO's masks: polygons as its tools fill them, and counts of runs, plain or as text.

Source: pycocotools' maskApi.c (rleFrPoly, rleFrString); pixels count along columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SCALE = 5.0
_MOST_POINTS = 10**7


def filled(polygons: Sequence[Any], width: int, height: int) -> NDArray[np.bool_]:
    """The pixels of an image that lie in any of the polygons, bool (height, width).

    polygons: each x, y, x, y, ... in pixels. Raises ValueError for what is none.
    """
    mask = np.zeros((height, width), np.bool_)
    for polygon in polygons:
        points = _points(polygon)
        mask |= _filled(points, width, height)
    return mask


def from_counts(told: Mapping[str, Any], width: int, height: int) -> NDArray[np.bool_]:
    """The pixels that counts of runs cover, bool (height, width). Raises ValueError for those of another."""
    counts = told.get("counts")
    runs = _decoded(counts) if isinstance(counts, str | bytes) else counts
    if not isinstance(runs, Sequence) or not all(type(run) is int and run >= 0 for run in runs):
        raise ValueError("counts are no numbers")
    if sum(runs) != width * height:
        raise ValueError(f"counts are of {sum(runs)} pixels, the image has {width * height}")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def _points(polygon: Any) -> NDArray[np.float64]:
    try:
        points = np.asarray(polygon, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError("a polygon is not made of numbers") from error
    if points.ndim != 1 or len(points) < 6 or len(points) % 2 or not np.isfinite(points).all():
        raise ValueError("a polygon needs three points or more")
    if np.abs(points).max() > _MOST_POINTS:
        raise ValueError("a polygon lies far outside of any image")
    return points.reshape(-1, 2)


def _filled(points: NDArray[np.float64], width: int, height: int) -> NDArray[np.bool_]:
    fine = (_SCALE * points + 0.5).astype(np.int64)  # C's cast, which drops what is behind the point
    u, v = _outline(np.concatenate([fine, fine[:1]]))
    steps = np.flatnonzero(np.diff(u)) + 1
    before, after = u[steps - 1], u[steps]
    x = (np.where(after < before, after, after - 1) + 0.5) / _SCALE - 0.5
    inside = (np.floor(x) == x) & (x >= 0) & (x <= width - 1)
    y = (np.minimum(v[steps - 1], v[steps]) + 0.5) / _SCALE - 0.5
    y = np.ceil(np.clip(y, 0, height))
    toggles = (x[inside] * height + y[inside]).astype(np.int64)
    parity = np.cumsum(np.bincount(toggles, minlength=width * height + 1)[: width * height]) % 2
    return np.ascontiguousarray(parity.reshape(width, height).T == 1)


def _outline(corners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every fine step along the edges of a closed polygon."""
    pieces = [_edge(*corners[at], *corners[at + 1]) for at in range(len(corners) - 1)]
    return np.concatenate([piece[0] for piece in pieces]), np.concatenate([piece[1] for piece in pieces])


def _edge(xs: int, ys: int, xe: int, ye: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    dx, dy = abs(int(xe) - int(xs)), abs(int(ye) - int(ys))
    is_flat = dx >= dy
    turned = xs > xe if is_flat else ys > ye
    if turned:
        xs, ys, xe, ye = xe, ye, xs, ys
    steps = np.arange(max(dx, dy) + 1)
    steps = steps[::-1] if turned else steps
    if is_flat:
        slope = (ye - ys) / dx if dx else 0.0
        return xs + steps, (ys + slope * steps + 0.5).astype(np.int64)
    slope = (xe - xs) / dy
    return (xs + slope * steps + 0.5).astype(np.int64), ys + steps


def _decoded(text: str | bytes) -> list[int]:
    """Counts from COCO's text: six bits a character, each count after the second as a difference."""
    try:
        data = text.encode("ascii") if isinstance(text, str) else text
    except UnicodeEncodeError as error:
        raise ValueError("counts are no text of COCO's") from error
    counts: list[int] = []
    value, shift = 0, 0
    for byte in data:
        digit = byte - 48
        if not 0 <= digit < 64 or shift > 60:
            raise ValueError("counts are no text of COCO's")
        value |= (digit & 0x1F) << shift
        shift += 5
        if digit & 0x20:
            continue
        if digit & 0x10:
            value |= -1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value, shift = 0, 0
    return counts
