"""What text detection gives: outlines with scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Outlines:
    """Quadrangles (N, 4, 2), float32, pixels of the image, clockwise; and the score of each, float64 (N,)."""

    corners: NDArray[np.float32]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.scores)


def no_outlines() -> Outlines:
    """Of an image in which nothing was found."""
    return Outlines(np.zeros((0, 4, 2), np.float32), np.zeros(0, np.float64))
