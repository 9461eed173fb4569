"""What is kept of every image so that hmean can be computed again under any weighting of the images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import IntArray


@dataclass(frozen=True, eq=False)
class FoundRegions:
    """Of each image (N,): regions to be found, outlines that were found, and how many of them are right.

    What lies on a region that is ignored is in none of the three.
    """

    wanted: NDArray[np.int64]
    found: NDArray[np.int64]
    right: NDArray[np.int64]

    def resample(self, weights: IntArray) -> NDArray[np.float64]:
        """The harmonic mean of precision and recall for each row of weights: 2 right / (wanted + found).

        weights: (R, N); returns (R,), nan where nothing is wanted and nothing found. Raises ValueError for
        weights of another shape.
        """
        if weights.ndim != 2 or weights.shape[1] != len(self.wanted):
            raise ValueError(f"weights must have shape (R, {len(self.wanted)}), not {weights.shape}")
        both = weights @ (self.wanted + self.found)
        means: NDArray[np.float64] = np.divide(
            2 * (weights @ self.right), both, out=np.full(len(weights), np.nan), where=both > 0
        )
        return means

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name, for an .npz file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> FoundRegions:
        """What :meth:`to_arrays` gave. Raises KeyError or ValueError for other arrays."""
        counts = [arrays[field.name] for field in fields(cls)]
        if any(count.ndim != 1 or count.dtype.kind not in "iu" or (count < 0).any() for count in counts):
            raise ValueError("the arrays do not hold counts")
        if len({count.shape for count in counts}) != 1:
            raise ValueError("the arrays are not of one set of images")
        return cls(*(count.astype(np.int64) for count in counts))
