"""What is kept of every image so that accuracy can be computed again under any weighting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import IntArray


@dataclass(frozen=True, eq=False)
class Hits:
    """Whether the most probable class of each image is its label."""

    right: NDArray[np.bool_]  # (N,)

    def resample(self, weights: IntArray) -> NDArray[np.float64]:
        """Top-1 accuracy (0..1) for each row of weights (R, N); nan where no image is left.

        Raises ValueError for weights of another shape.
        """
        if weights.ndim != 2 or weights.shape[1] != len(self.right):
            raise ValueError(f"weights must have shape (R, {len(self.right)}), not {weights.shape}")
        right, all_images = weights @ self.right.astype(np.int64), weights.sum(axis=1)
        shares: NDArray[np.float64] = np.divide(
            right, all_images, out=np.full(len(weights), np.nan), where=all_images > 0
        )
        return shares

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name, for an .npz file."""
        return {"right": self.right}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Hits:
        """What :meth:`to_arrays` gave. Raises KeyError or ValueError for other arrays."""
        right = arrays["right"]
        if right.ndim != 1 or right.dtype != np.bool_:
            raise ValueError("the array is none of hits")
        return cls(right)
