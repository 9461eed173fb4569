"""Detections drawn on their image, for a person to see whether a model is read rightly."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from calibrant.tasks.detection.types import Detections

SURE = 0.25
_FEW = 5
_SIDE = 1280
_COLOURS = ((36, 28, 237), (0, 140, 255), (0, 170, 40), (200, 80, 0), (180, 0, 160), (120, 120, 0))


def worth_drawing(found: Detections) -> Detections:
    """The boxes that score at least :data:`SURE`, or where there are none the best few."""
    count = int((found.scores >= SURE).sum()) or _FEW
    return Detections(found.boxes[:count], found.scores[:count], found.classes[:count])


def drawn(image: NDArray[np.uint8], found: Detections, labels: Sequence[str]) -> NDArray[np.uint8]:
    """The image (uint8 BGR, H x W x 3, made smaller where it is large) with each box, its class and score.

    labels: the name of each class by its number.
    """
    scale = min(1.0, _SIDE / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    canvas = np.array(cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image, np.uint8)
    for box, score, kind in zip(found.boxes[::-1], found.scores[::-1], found.classes[::-1], strict=True):
        left, top, right, bottom = (round(float(edge) * scale) for edge in box)
        colour = _COLOURS[int(kind) % len(_COLOURS)]
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, 2)
        _write(canvas, f"{labels[int(kind)]} {score:.2f}", left, top, colour)
    return canvas


def png(image: NDArray[np.uint8]) -> bytes:
    """A picture (uint8 BGR) as a PNG file's content."""
    _, content = cv2.imencode(".png", image)
    return content.tobytes()


def _write(canvas: NDArray[np.uint8], words: str, left: int, top: int, colour: tuple[int, int, int]) -> None:
    plain = words.encode("ascii", "replace").decode()  # OpenCV has no other letters
    (width, height), base = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
    x = max(0, min(left, canvas.shape[1] - width))
    y = top - base if top > height + base else min(canvas.shape[0] - base, top + height + base)
    cv2.rectangle(canvas, (x, y - height - 2), (x + width, y + base), colour, -1)
    cv2.putText(canvas, plain, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
