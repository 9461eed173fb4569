"""What is kept of every line so that the character error rate can be computed again under any weighting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import IntArray


@dataclass(frozen=True, eq=False)
class EditCounts:
    """Edits that each line needs, and how many characters (or words) are written there."""

    edits: NDArray[np.int64]  # (N,)
    characters: NDArray[np.int64]  # (N,)

    def resample(self, weights: IntArray) -> NDArray[np.float64]:
        """The character error rate for each row of weights: all edits by all characters.

        It is a ratio of sums, so long lines count for more. weights: (R, N); returns (R,), nan where no
        character is left. Raises ValueError for weights of another shape.
        """
        if weights.ndim != 2 or weights.shape[1] != len(self.edits):
            raise ValueError(f"weights must have shape (R, {len(self.edits)}), not {weights.shape}")
        wrong, written = weights @ self.edits, weights @ self.characters
        rates: NDArray[np.float64] = np.divide(
            wrong, written, out=np.full(len(weights), np.nan), where=written > 0
        )
        return rates

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name, for an .npz file."""
        return {"edits": self.edits, "characters": self.characters}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> EditCounts:
        """What :meth:`to_arrays` gave. Raises KeyError or ValueError for other arrays."""
        edits, characters = (_counts(arrays[name]) for name in ("edits", "characters"))
        if edits.shape != characters.shape:
            raise ValueError("the arrays are not of one set of lines")
        return cls(edits, characters)


def _counts(array: NDArray[Any]) -> NDArray[np.int64]:
    if array.ndim != 1 or array.dtype.kind not in "iu" or (len(array) and array.min() < 0):
        raise ValueError("the array does not hold counts")
    return array.astype(np.int64)
