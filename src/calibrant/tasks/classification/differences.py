"""How one model classifies images differently from another: what its users will notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassAccuracy:
    """Top-1 accuracy on the images of one class, points."""

    name: str
    images: int
    reference: float
    candidate: float


@dataclass(frozen=True)
class Flip:
    """How many images of class ``label`` change from ``reference`` to ``candidate``."""

    label: str
    reference: str
    candidate: str
    images: int


@dataclass(frozen=True)
class ImageChange:
    """One image whose class changed, the surest one of the float model's first; confidences are 0..1."""

    image: str
    path: str
    label: str
    reference: str
    candidate: str
    reference_confidence: float
    candidate_confidence: float


@dataclass(frozen=True)
class ClassificationDifferences:
    """One candidate's classes against the float model's; ``broken``: only the float model is right.

    ``fixed``: only the candidate is. ``moved``: the mean total variation distance of the probabilities.
    """

    calibrator: str
    images: int
    changed: int
    broken: int
    fixed: int
    moved: float
    classes: tuple[ClassAccuracy, ...]
    flips: tuple[Flip, ...]
    worst_images: tuple[ImageChange, ...]

    def sentence(self) -> str:
        """What a user of the candidate would notice, without a full stop."""
        if not self.changed:
            return f"all {self.images} images are of the class that the float model gives"
        worst = self.flips[0]
        return (
            f"{self.changed} of {self.images} images change their class: {self.broken} that were right are "
            f"wrong, {self.fixed} that were wrong are right; most often {worst.reference!r} becomes "
            f"{worst.candidate!r} ({worst.images} images)"
        )
