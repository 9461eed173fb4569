"""Characters and lines of them as masks, in the faces that the installed packages bring along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Mask: TypeAlias = NDArray[np.uint8]
Face: TypeAlias = Callable[[str, int], Mask]
"""(text, nominal size in pixels) -> coverage 0..255, cropped to what is covered."""

# Without I, l, O and 0, which look alike in some faces, and without marks that have several parts.
CHARACTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghkmnpqrstuvwxyz123456789"

_INKED = 64


def _cv2_mask(text: str, size: int, *, face: int) -> Mask:
    thickness = max(1, size // 12)
    scale = cv2.getFontScaleFromHeight(face, size, thickness)
    canvas = np.zeros((4 * size, _width(text, size)), np.uint8)
    cv2.putText(canvas, text, (size, 3 * size), face, scale, 255, thickness, cv2.LINE_AA)
    return cropped(canvas)


def _pillow_mask(text: str, size: int, *, bold: bool) -> Mask:
    canvas = Image.new("L", (_width(text, size), 4 * size))
    stroke = size // 16 if bold else 0
    font = ImageFont.load_default(size)
    ImageDraw.Draw(canvas).text((size, size), text, fill=255, font=font, stroke_width=stroke)
    return cropped(np.asarray(canvas))


def _width(text: str, size: int) -> int:
    """Room for a text: no face has a character that is wider than twice its nominal size."""
    return 2 * (len(text) + 1) * size


FACES: Sequence[Face] = (
    partial(_cv2_mask, face=cv2.FONT_HERSHEY_SIMPLEX),
    partial(_cv2_mask, face=cv2.FONT_HERSHEY_COMPLEX),
    partial(_cv2_mask, face=cv2.FONT_HERSHEY_COMPLEX_SMALL),
    partial(_cv2_mask, face=cv2.FONT_HERSHEY_SCRIPT_SIMPLEX),
    partial(_cv2_mask, face=cv2.FONT_HERSHEY_SCRIPT_COMPLEX),
    partial(_pillow_mask, bold=False),
    partial(_pillow_mask, bold=True),
)


def cropped(mask: Mask) -> Mask:
    """The part of a mask that is inked: its sides touch the character."""
    rows = np.flatnonzero(mask.max(axis=1) >= _INKED)
    columns = np.flatnonzero(mask.max(axis=0) >= _INKED)
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def rotated(mask: Mask, degrees: float) -> Mask:
    """The mask turned about its centre, on a canvas that holds all of it, cropped again."""
    height, width = mask.shape
    side = int(np.ceil(np.hypot(height, width))) + 2
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    turn[:, 2] += ((side - width) / 2, (side - height) / 2)
    return cropped(np.asarray(cv2.warpAffine(mask, turn, (side, side)), np.uint8))
