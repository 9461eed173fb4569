"""How images are prepared for a text detector and how its map is read; two ways have names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import FloatArray

MULTIPLE = 32
"""Sides of the input, pixels: the network halves them five times."""


@dataclass(frozen=True)
class Reading:
    """What PaddleOCR's configuration says of a detector.

    limit_side, limit_type: the shorter ("min") side is made at least, or the longer ("max") at most, so many
    pixels long. mean, std: of channels in the order blue, green, red. binarize: from which probability on a
    pixel is text. box_threshold: the least mean probability of a box. unclip: how far a box grows, by its
    area over its length. dilate: whether text grows by a pixel before outlines are drawn.
    """

    limit_side: int
    limit_type: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    binarize: float = 0.3
    box_threshold: float = 0.6
    unclip: float = 1.5
    dilate: bool = False

    def sides(self, height: int, width: int) -> tuple[int, int]:
        """The input's height and width for an image of this size (PaddleOCR's DetResizeForTest, type 0)."""
        short, long = min(height, width), max(height, width)
        ratio = 1.0
        if self.limit_type == "max" and long > self.limit_side:
            ratio = self.limit_side / long
        elif self.limit_type == "min" and short < self.limit_side:
            ratio = self.limit_side / short
        return _in_multiples(int(height * ratio)), _in_multiples(int(width * ratio))


def _in_multiples(side: int) -> int:
    return max(round(side / MULTIPLE) * MULTIPLE, MULTIPLE)


FAMILIES: Mapping[str, Reading] = {
    # PaddleOCR, tools/infer/utility.py and predict_det.py: ImageNet's mean and std, in BGR as they are read
    "paddleocr": Reading(960, "max", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    # RapidOCR's config.yaml, 1.4.4 and 3.10.0 alike
    "rapidocr": Reading(736, "min", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 0.3, 0.5, 1.6, True),
}


def prepared(image: NDArray[np.uint8], how: Reading, sides: tuple[int, int]) -> FloatArray:
    """The network's input (1, 3, *sides), float32, for an image (uint8 BGR, H x W x 3).

    The image is stretched to ``sides`` (height, width); values are (pixel / 255 - mean) / std.
    """
    pixels = cv2.resize(image, sides[::-1]).astype(np.float32)
    values = (pixels * (1 / 255.0) - np.array(how.mean)) / np.array(how.std)
    tensor: FloatArray = np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32)
    return tensor
