"""The score threshold at which a detector is best used, read off its matches with the labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.tasks.detection.evidence import MatchTable

_AT_HALF = 1  # the bit of IoU 0.5, the first of IOU_THRESHOLDS


@dataclass(frozen=True)
class ThresholdCurve:
    """What each score threshold gives at IoU 0.5, all classes together; arrays (D,), scores descending."""

    scores: NDArray[np.float32]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    @property
    def f1(self) -> NDArray[np.float64]:
        """The harmonic mean of precision and recall."""
        total = self.precision + self.recall
        product = 2 * self.precision * self.recall
        return np.divide(product, total, out=np.zeros_like(total), where=total > 0)

    @property
    def best(self) -> int:
        """Where F1 is greatest; of equals the highest threshold. Raises ValueError without detections."""
        return int(self.f1.argmax())

    def f1_at(self, threshold: float) -> float:
        """F1 of the detections that score at least ``threshold``; 0 where there is none."""
        kept = int((self.scores >= np.float32(threshold)).sum())
        return float(self.f1[kept - 1]) if kept else 0.0


def threshold_curve(table: MatchTable) -> ThresholdCurve:
    """Precision and recall at every threshold; detections on crowds count neither way.

    Equal scores share the figures of all of them: a threshold cannot tell them apart.
    """
    counted = np.flatnonzero(table.ignored & _AT_HALF == 0)
    order = counted[np.argsort(-table.scores[counted], kind="stable")]
    scores = table.scores[order]
    hits = np.cumsum((table.matched[order] & _AT_HALF) > 0)
    last = np.searchsorted(-scores, -scores, side="right") - 1
    hits = hits[last].astype(np.float64)
    return ThresholdCurve(scores, hits / (last + 1), hits / max(len(table.truth_class), 1))


def class_precisions(table: MatchTable) -> list[float]:
    """Average precision (0..1, IoU 0.50 to 0.95) of every class; nan where no box is labelled."""
    whole = np.ones((1, table.images), np.int64)
    return [float(_of_class(table, index).resample(whole)[0]) for index in range(len(table.starts) - 1)]


def _of_class(table: MatchTable, index: int) -> MatchTable:
    rows = slice(table.starts[index], table.starts[index + 1])
    labelled = table.truth_class == index
    return MatchTable(
        images=table.images,
        starts=np.array([0, rows.stop - rows.start], np.int64),
        scores=table.scores[rows],
        image=table.image[rows],
        matched=table.matched[rows],
        ignored=table.ignored[rows],
        truth_image=table.truth_image[labelled],
        truth_class=np.zeros(int(labelled.sum()), np.int32),
    )
