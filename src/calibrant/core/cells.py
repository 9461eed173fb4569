"""What the kernels count in: a cell a bin, and spare ones for the fullest bin; extremes as keys."""

from __future__ import annotations

import numpy as np

from calibrant.core.histogram import BINS

LANES = 16
CELLS = BINS + LANES
# Cells are of 32 bits: half the memory that counting goes through, and enough for so many values at a time.
MOST_COUNTED = 2**32 - 1
# Any float's key lies between these.
KEY_ABOVE_ALL, KEY_BELOW_ALL = 1 << 40, -(1 << 40)


def float_of_key(key: int) -> float:
    """The float32 whose bits, ordered like the numbers, are ``key``."""
    magnitude = float(np.array([abs(key)], np.uint32).view(np.float32)[0])
    return magnitude if key >= 0 else -magnitude
