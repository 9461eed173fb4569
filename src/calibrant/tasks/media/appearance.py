"""How an image looks, in a few bytes: its brightness and a perceptual hash."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibrant.tasks.media.images import ImageFile, read_image

HASH_BITS = 128
_GRID = 9  # cells a side, eight differences between them
SAME_PICTURE_BITS = 16
"""Hashes that differ in at most so many bits show the same picture (docs/coverage.md has the measurement)."""

BRIGHTNESS_BANDS = ("very dark", "dark", "medium", "bright", "very bright")


@dataclass(frozen=True, eq=False)
class Appearance:
    """brightness: the mean grey value, 0..255. hash: uint8 (16,), which nearly equal pictures share."""

    brightness: float
    hash: NDArray[np.uint8]

    @property
    def band(self) -> str:
        """The fifth of the grey scale in which the brightness lies, in words."""
        index = int(self.brightness / 256 * len(BRIGHTNESS_BANDS))
        return BRIGHTNESS_BANDS[index]


def appearance_of(path: ImageFile) -> Appearance:
    """Read an image and look at it.

    The hash is the difference hash of rows and of columns, 64 bits each: whether the picture gets brighter
    from one cell of a coarse grid to the next. Recompressing and scaling change few of its bits.
    Raises ImageError.
    """
    import dhash

    grey = np.asarray(cv2.cvtColor(read_image(path), cv2.COLOR_BGR2GRAY), np.uint8)
    grid = cv2.resize(grey, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    # Of cells, and not of a Pillow image: dhash asks Pillow for what its version 14 no longer has.
    words = dhash.dhash_row_col(grid.reshape(-1).tolist(), size=_GRID - 1)
    bits = b"".join(word.to_bytes(HASH_BITS // 16, "big") for word in words)
    return Appearance(float(grey.mean()), np.frombuffer(bits, np.uint8))
