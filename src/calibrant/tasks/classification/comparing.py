"""Two models' classes of the same images, compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from calibrant.core.tasks import Evaluated
from calibrant.tasks.classification.differences import (
    ClassAccuracy,
    ClassificationDifferences,
    Flip,
    ImageChange,
)
from calibrant.tasks.classification.score import by_class, hits_of
from calibrant.tasks.classification.types import ClassScores, LabelledImage

MOST_IMAGES, MOST_FLIPS, MOST_CLASSES = 24, 12, 50


def overlap(ours: ClassScores, theirs: ClassScores) -> float:
    """The probability that both models share, 0..1: one less the total variation distance."""
    return min(1.0, float(np.minimum(ours.probabilities, theirs.probabilities).sum(dtype=np.float64)))


def differences_between(
    calibrator: str,
    samples: Sequence[LabelledImage],
    reference: Evaluated,
    found: Evaluated,
    class_map: Sequence[int],
    names: Sequence[str],
) -> ClassificationDifferences:
    """Which images, of which classes, a candidate calls otherwise; names: of the model's classes."""
    before = hits_of(samples, reference.predictions, class_map)
    after = hits_of(samples, found.predictions, class_map)
    rows = list(zip(samples, reference.predictions, found.predictions, strict=True))
    changed = [row for row in rows if row[1].top != row[2].top]
    changed.sort(key=lambda row: -float(row[1].probabilities.max()))
    flips = Counter(
        (names[class_map[sample.label]], names[ours.top], names[theirs.top])
        for sample, ours, theirs in changed
    )
    ours_by_class, theirs_by_class = by_class(samples, before), by_class(samples, after)
    counts = Counter(sample.label for sample in samples)
    accuracies = [
        ClassAccuracy(
            names[class_map[label]], counts[label], 100 * ours_by_class[label], 100 * theirs_by_class[label]
        )
        for label in counts
    ]
    accuracies.sort(key=lambda each: (each.candidate - each.reference, each.name))
    return ClassificationDifferences(
        calibrator=calibrator,
        images=len(rows),
        changed=len(changed),
        broken=int((before.right & ~after.right).sum()),
        fixed=int((after.right & ~before.right).sum()),
        moved=1 - float(np.mean([overlap(ours, theirs) for _, ours, theirs in rows])) if rows else 0.0,
        classes=tuple(accuracies[:MOST_CLASSES]),
        flips=tuple(Flip(*flip, images) for flip, images in flips.most_common(MOST_FLIPS)),
        worst_images=tuple(_change(*row, class_map, names) for row in changed[:MOST_IMAGES]),
    )


def _change(
    sample: LabelledImage,
    ours: ClassScores,
    theirs: ClassScores,
    class_map: Sequence[int],
    names: Sequence[str],
) -> ImageChange:
    return ImageChange(
        image=sample.id,
        path=str(sample.path),
        label=names[class_map[sample.label]],
        reference=names[ours.top],
        candidate=names[theirs.top],
        reference_confidence=round(float(ours.probabilities.max()), 4),
        candidate_confidence=round(float(theirs.probabilities.max()), 4),
    )
