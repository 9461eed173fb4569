"""Lines cut out of a page, in reading order, as PaddleOCR and RapidOCR cut them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calibrant.tasks.text_detection.types import Outlines

_SAME_LINE = 10  # pixels between the upper left corners of two outlines of one line
_UPRIGHT = 1.5  # a cut that is so many times as high as wide is turned


def in_reading_order(found: Outlines) -> Outlines:
    """From top to bottom, and within a line from left to right (RapidOCR's ``sorted_boxes``)."""
    tops = found.corners[:, 0, 1]
    down = np.argsort(tops, kind="stable")
    line = np.concatenate([[0], np.cumsum(np.diff(tops[down]) >= _SAME_LINE)])[: len(down)]
    order = down[np.lexsort((found.corners[down, 0, 0], line))]
    return Outlines(found.corners[order], found.scores[order])


def cut_out(image: NDArray[np.uint8], corners: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The part of an image within a quadrangle, made a rectangle (``get_rotate_crop_image``)."""
    sides = np.linalg.norm(corners - np.roll(corners, -1, 0), axis=1)
    width, height = int(max(sides[0], sides[2])), int(max(sides[1], sides[3]))
    to = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    cut: NDArray[Any] = cv2.warpPerspective(
        image,
        cv2.getPerspectiveTransform(np.ascontiguousarray(corners, np.float32), to),
        (width, height),
        borderMode=cv2.BORDER_REPLICATE,
        flags=cv2.INTER_CUBIC,
    )
    return np.ascontiguousarray(np.rot90(cut) if height / width >= _UPRIGHT else cut)
