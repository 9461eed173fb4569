"""What semantic segmentation is about: images with a mask of classes, and the maps that models give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NO_CLASS = 65535
"""In a map or a mask: a pixel of no class, which a mask leaves out of the score."""


@dataclass(frozen=True)
class SegmentedImage:
    """An image and the file of its mask, which has its size (width, height, pixels)."""

    id: str
    path: Path
    mask: Path
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class MaskValues:
    """What a mask's pixels mean: class = value - first; ``ignored`` and what lies below ``first`` is none."""

    first: int = 0
    ignored: int = 255

    def classes_of(self, values: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """A mask's values as classes, :data:`NO_CLASS` where it has none."""
        left_out = (values == self.ignored) | (values < self.first)
        return np.where(left_out, NO_CLASS, values.astype(np.int64) - self.first).astype(np.uint16)


@dataclass(frozen=True, eq=False)
class ClassMap:
    """The class of each pixel of the original image, uint16 (H, W)."""

    classes: NDArray[np.uint16]
