"""How one model's instances differ from another's on the same images: what its users will notice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibrant.core.tasks import Evaluated
from calibrant.tasks.detection.instances.agreement import pairs
from calibrant.tasks.detection.instances.kinds import Kind
from calibrant.tasks.detection.instances.types import Instances, InstanceSample

SURE = 0.25
"""What users see: Ultralytics shows instances of this score or more."""
SAME = 0.9
SHOWN = 12


@dataclass(frozen=True)
class ImageChange:
    """One image, worst first. ``path`` is its file; ``mean_similarity`` is of what both find, 0..1."""

    image: str
    path: str
    kept: int
    reshaped: int
    lost: int
    gained: int
    mean_similarity: float | None


@dataclass(frozen=True)
class InstanceDifferences:
    """One candidate's instances against the float model's, above a score of 0.25.

    ``kept`` are 0.9 alike or more, ``reshaped`` 0.5 to 0.9: kept + reshaped + lost is what the float
    model finds, kept + reshaped + gained what the candidate does.
    """

    calibrator: str
    what: str
    images: int
    kept: int
    reshaped: int
    lost: int
    gained: int
    mean_similarity: float | None
    worst_images: tuple[ImageChange, ...]

    def sentence(self) -> str:
        """What a user of the candidate notices."""
        total = self.kept + self.reshaped + self.lost
        return (
            f"Of the {total} {self.what} that FP32 shows above {SURE:g}, {self.calibrator} loses "
            f"{self.lost}, reshapes {self.reshaped} and adds {self.gained}"
        )


def differences_between(
    kind: Kind, calibrator: str, samples: Sequence[InstanceSample], reference: Evaluated, found: Evaluated
) -> InstanceDifferences:
    """Compare two models' instances of the same images, in the same order."""
    changes, alike = [], []
    for sample, ours, theirs in zip(samples, reference.predictions, found.predictions, strict=True):
        change, similar = _change(kind, sample, ours, theirs)
        changes.append(change)
        alike += similar
    worst = sorted(changes, key=lambda change: -(2 * (change.lost + change.gained) + change.reshaped))[:SHOWN]
    return InstanceDifferences(
        calibrator,
        kind.words.labels,
        len(samples),
        kept=sum(change.kept for change in changes),
        reshaped=sum(change.reshaped for change in changes),
        lost=sum(change.lost for change in changes),
        gained=sum(change.gained for change in changes),
        mean_similarity=round(float(np.mean(alike)), 4) if alike else None,
        worst_images=tuple(change for change in worst if change.lost + change.gained + change.reshaped),
    )


def _change(
    kind: Kind, sample: InstanceSample, ours: Instances, theirs: Instances
) -> tuple[ImageChange, list[float]]:
    ours, theirs = ours.at(ours.scores >= SURE), theirs.at(theirs.scores >= SURE)
    similar = [alike for _, _, alike in pairs(kind, ours, theirs)]
    kept = sum(alike >= SAME for alike in similar)
    mean = round(float(np.mean(similar)), 4) if similar else None
    change = ImageChange(
        sample.id,
        str(sample.path),
        kept,
        len(similar) - kept,
        len(ours) - len(similar),
        len(theirs) - len(similar),
        mean,
    )
    return change, similar
