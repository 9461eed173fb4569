"""What was spoken, in marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.metrics import Figure, Metric, Score
from calibrant.core.types import IntArray
from calibrant.tasks.synthesis.types import Spoken

DNSMOS = Metric("dnsmos", "DNSMOS", unit="", scale=1.0, decimals=2, floor=1.5, span=1.0)
"""The overall mark that listeners are expected to give, 1 to 5 (P.835)."""


@dataclass(frozen=True, eq=False)
class Marks:
    """Each sentence's mark; the metric is their mean."""

    values: NDArray[np.float64]  # (N,)

    def resample(self, weights: IntArray) -> NDArray[np.float64]:
        """The mean for each row of weights (R, N); nan where nothing is left."""
        if weights.ndim != 2 or weights.shape[1] != len(self.values):
            raise ValueError(f"weights must have shape (R, {len(self.values)}), not {weights.shape}")
        counts = weights.sum(axis=1)
        sums = weights @ self.values
        return np.asarray(np.divide(sums, counts, out=np.full(len(weights), np.nan), where=counts > 0))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name."""
        return {"marks": self.values}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Marks:
        """What :meth:`to_arrays` gave. Raises KeyError or ValueError for other arrays."""
        marks = arrays["marks"]
        if marks.ndim != 1 or marks.dtype.kind != "f":
            raise ValueError("the array does not hold marks")
        return cls(marks.astype(np.float64))


def score(found: Sequence[Spoken]) -> Score:
    """The mean mark, and what else is told of sounds."""
    marks = Marks(np.array([each.overall for each in found], np.float64))
    value = float(marks.resample(np.ones((1, len(found)), np.int64))[0])
    figures = (
        Figure("signal", _mean([each.signal for each in found]), ""),
        Figure("background", _mean([each.background for each in found]), ""),
        Figure("mel distance", _mean([each.distance for each in found]), "nepers"),
        Figure("longer", _mean([100 * each.lengthened for each in found]), "%"),
        Figure("length change", _mean([100 * abs(each.lengthened) for each in found]), "%"),
    )
    return Score(DNSMOS, value, figures, marks)


def _mean(values: Sequence[float]) -> float | None:
    found = float(np.mean(values)) if values else float("nan")
    return round(found, 4) if np.isfinite(found) else None
