"""What is kept of every image so that the mean IoU can be computed again under any weighting of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import IntArray


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """Of each image and class (N, C): pixels that are right, that are labelled, and that are predicted.

    Pixels without a label are in none of the three.
    """

    right: NDArray[np.int64]
    labelled: NDArray[np.int64]
    predicted: NDArray[np.int64]

    def resample(self, weights: IntArray) -> NDArray[np.float64]:
        """The mean IoU of the classes that occur, for each row of weights (R, N); nan where none does.

        Pixels of all images are counted together; a class that is neither labelled nor predicted is left out
        of the mean, as in mmsegmentation's and torchvision's. Raises ValueError for weights of another shape.
        """
        if weights.ndim != 2 or weights.shape[1] != len(self.right):
            raise ValueError(f"weights must have shape (R, {len(self.right)}), not {weights.shape}")
        right = weights @ self.right
        union = weights @ (self.labelled + self.predicted) - right
        shares = np.divide(right, union, out=np.zeros(union.shape), where=union > 0)
        occurring = (union > 0).sum(axis=1)
        means: NDArray[np.float64] = np.divide(
            shares.sum(axis=1), occurring, out=np.full(len(weights), np.nan), where=occurring > 0
        )
        return means

    def ious(self) -> NDArray[np.float64]:
        """The IoU of each class over all images (C,); nan of those that do not occur."""
        right = self.right.sum(axis=0)
        union = self.labelled.sum(axis=0) + self.predicted.sum(axis=0) - right
        found: NDArray[np.float64] = np.divide(right, union, out=np.full(len(union), np.nan), where=union > 0)
        return found

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name, for an .npz file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> PixelCounts:
        """What :meth:`to_arrays` gave. Raises KeyError or ValueError for other arrays."""
        counts = [arrays[field.name] for field in fields(cls)]
        if any(count.ndim != 2 or count.dtype.kind not in "iu" or (count < 0).any() for count in counts):
            raise ValueError("the arrays do not hold counts")
        if len({count.shape for count in counts}) != 1:
            raise ValueError("the arrays are not of one set of images")
        return cls(*(count.astype(np.int64) for count in counts))
