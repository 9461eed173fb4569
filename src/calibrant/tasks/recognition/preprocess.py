"""From the image of a line to the recognizer's input, as PaddleOCR does it at inference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import FloatArray


@dataclass(frozen=True)
class LineInput:
    """What the input takes: ``channels`` (3: blue first, or 1: grey) of ``height`` x ``width`` pixels.

    width: None where it is free; then an input is at least ``least_width`` pixels wide (320 for height 48
    in PaddleOCR, which scales with the height), and as wide as its image beyond.
    """

    channels: int
    height: int
    width: int | None
    least_width: int

    def width_for(self, image_height: int, image_width: int) -> int:
        """The input's width for an image of this size, pixels."""
        if self.width is not None:
            return self.width
        return int(self.height * max(self.least_width / self.height, image_width / image_height))


def prepared(image: NDArray[np.uint8], to: LineInput) -> FloatArray:
    """The network's input (1, channels, height, width) for an image (uint8 BGR, H x W x 3).

    The image is scaled to the height, its shape kept, and squeezed only where the input is too narrow;
    values are (pixel / 255 - 0.5) / 0.5, and what is left free on the right is 0
    (PaddleOCR, tools/infer/predict_rec.py, ``resize_norm_img``).
    """
    height, width = image.shape[:2]
    full = to.width_for(height, width)
    wide = min(full, math.ceil(to.height * (width / height)))
    pixels: NDArray[Any] = cv2.resize(_coloured(image, to.channels), (max(wide, 1), to.height))
    tensor = np.zeros((1, to.channels, to.height, full), np.float32)
    values = pixels.astype(np.float32).reshape(to.height, -1, to.channels).transpose(2, 0, 1) / np.float32(
        255
    )
    tensor[0, :, :, : values.shape[2]] = (values - np.float32(0.5)) / np.float32(0.5)
    return tensor


def _coloured(image: NDArray[np.uint8], channels: int) -> NDArray[Any]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)) if channels == 1 else image
