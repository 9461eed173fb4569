"""What of a weight's loss is rounding, and what is clipping."""

from __future__ import annotations

import numpy as np

from calibrant.core.formats import Encoded, decode, spread
from calibrant.core.types import FloatArray


def clipped_share(weight: FloatArray, encoded: Encoded) -> float:
    """The share of a weight's squared error that is of values beyond the ends of its grid, 0..1."""
    grid = encoded.grid
    step = np.broadcast_to(spread(grid.step, weight.shape, grid.format.granularity), weight.shape)
    offset = np.zeros_like(grid.scale) if grid.offset is None else grid.offset.astype(np.float32)
    offset = np.broadcast_to(spread(offset, weight.shape, grid.format.granularity), weight.shape)
    zero, base = (np.float32(0), offset) if grid.format.minimum else (offset, np.float32(0))
    given = (weight - base) / step + zero
    margin = 0.5 if grid.format.element.is_integer else 0.0
    beyond = (given < grid.format.lowest - margin) | (given > grid.format.highest + margin)
    lost = np.square(weight - decode(encoded), dtype=np.float64)
    total = float(lost.sum())
    return float(lost[beyond].sum()) / total if total > 0 else 0.0
