"""How far two models find the same instances: no labels needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibrant.tasks.detection.agreement import LEAST_IOU, LEAST_SCORE
from calibrant.tasks.detection.instances.kinds import Kind
from calibrant.tasks.detection.instances.types import Instances


def agreement(kind: Kind, reference: Sequence[Instances], found: Sequence[Instances]) -> float:
    """A Dice coefficient, 0..1: a pair counts its similarity times both scores, one alone its square."""
    both = each = 0.0
    for ours, theirs in zip(reference, found, strict=True):
        ours, theirs = ours.at(ours.scores >= LEAST_SCORE), theirs.at(theirs.scores >= LEAST_SCORE)
        both += sum(
            alike * float(ours.scores[one]) * float(theirs.scores[other])
            for one, other, alike in pairs(kind, ours, theirs)
        )
        each += float(np.square(ours.scores, dtype=np.float64).sum())
        each += float(np.square(theirs.scores, dtype=np.float64).sum())
    return 2 * both / each if each > 0 else 1.0


def pairs(kind: Kind, ours: Instances, theirs: Instances) -> tuple[tuple[int, int, float], ...]:
    """Which of theirs is which of ours, by similarity (0.5 or more), one to one, their best first."""
    if not len(ours) or not len(theirs):
        return ()
    alike = kind.between(ours, theirs)
    alike[ours.classes[:, None] != theirs.classes[None, :]] = 0.0
    matched: list[tuple[int, int, float]] = []
    for index in np.argsort(-theirs.scores, kind="stable"):
        best = int(alike[:, index].argmax())
        if alike[best, index] >= LEAST_IOU:
            matched.append((best, int(index), float(alike[best, index])))
            alike[best] = 0.0
    return tuple(matched)
