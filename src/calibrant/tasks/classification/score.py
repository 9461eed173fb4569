"""Images' classes against their labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibrant.core.metrics import Figure, Metric, Score
from calibrant.tasks.classification.evidence import Hits
from calibrant.tasks.classification.types import ClassScores, LabelledImage

TOP1 = Metric("top1", "top-1 accuracy", floor=0.01, span=1.0)
"""The share of images whose most probable class is their label."""

_FIVE = 5


def hits_of(
    samples: Sequence[LabelledImage], predictions: Sequence[ClassScores], class_map: Sequence[int]
) -> Hits:
    """Which images are right; class_map gives a label its class of the model."""
    pairs = zip(samples, predictions, strict=True)
    return Hits(np.array([found.top == class_map[sample.label] for sample, found in pairs], bool))


def score(
    samples: Sequence[LabelledImage], predictions: Sequence[ClassScores], class_map: Sequence[int]
) -> Score:
    """Top-1 accuracy; beside it top-5, the mean of the classes' accuracies, and that of the worst class."""
    evidence = hits_of(samples, predictions, class_map)
    in_five = [
        found.rank_of(class_map[sample.label]) < _FIVE
        for sample, found in zip(samples, predictions, strict=True)
    ]
    classes = by_class(samples, evidence)
    figures = (
        Figure("top-5", _percent(in_five), "points"),
        Figure("mean of classes", _percent(list(classes.values())), "points"),
        Figure("worst class", 100 * min(classes.values()) if classes else None, "points"),
    )
    value = float(evidence.right.mean()) if len(samples) else float("nan")
    return Score(TOP1, value, figures, evidence)


def by_class(samples: Sequence[LabelledImage], evidence: Hits) -> dict[int, float]:
    """The accuracy on the images of each label that occurs."""
    right: dict[int, list[bool]] = {}
    for sample, is_right in zip(samples, evidence.right, strict=True):
        right.setdefault(sample.label, []).append(bool(is_right))
    return {label: sum(found) / len(found) for label, found in right.items()}


def _percent(shares: Sequence[float]) -> float | None:
    return round(100 * float(np.mean(shares)), 4) if len(shares) else None
