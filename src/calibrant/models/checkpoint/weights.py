"""Weights in float, however the file has them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import FloatArray
from calibrant.models.checkpoint.folder import Checkpoint
from calibrant.models.checkpoint.tensors import TensorReader


class Weights:
    """A checkpoint's weights by name, as float32; every read is counted.

    Raises ModelError where a tensor cannot be read or holds NaN.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._reader = TensorReader(checkpoint.tensors)

    @property
    def bytes_read(self) -> int:
        """Taken from the files so far."""
        return self._reader.bytes_read

    def __contains__(self, name: object) -> bool:
        return name in self._reader

    def values(self, name: str, rows: slice | None = None) -> FloatArray:
        """One tensor, or ``rows`` of its first axis."""
        return self._reader.values(name, rows)

    def rows(self, name: str, numbers: NDArray[np.int64]) -> FloatArray:
        """The rows of a matrix with these numbers, sorted, without reading the others."""
        parts = [self._reader.values(name, slice(start, stop)) for start, stop in _runs(numbers)]
        return np.concatenate(parts)


def _runs(numbers: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Sorted numbers as half-open runs."""
    ends = np.flatnonzero(np.diff(numbers) > 1)
    starts = numbers[np.concatenate([[0], ends + 1])]
    stops = numbers[np.concatenate([ends, [len(numbers) - 1]])] + 1
    return [(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]
