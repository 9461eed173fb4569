"""How one detector of text finds otherwise than another: what its users will notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DrawnOutline:
    """One outline, its corners in pixels of the image, and what became of it.

    ``fate``: "kept" (an overlap with one of the other model's of at least 0.9), "moved" (0.5 to 0.9), "lost"
    (the float model alone has it) or "gained" (the candidate alone).
    """

    corners: tuple[tuple[float, float], ...]
    score: float
    fate: str


@dataclass(frozen=True)
class GroupRecall:
    """Regions of one height that are found, percent; None: there are none."""

    name: str
    regions: int
    reference: float | None
    candidate: float | None


@dataclass(frozen=True)
class PageDifference:
    """One image, worst first; ``path`` is its file, ``disagreement`` what only one model finds, 0..1."""

    image: str
    path: str
    disagreement: float
    lost: int
    gained: int
    moved: int
    reference: tuple[DrawnOutline, ...]
    candidate: tuple[DrawnOutline, ...]


@dataclass(frozen=True)
class TextDetectionDifferences:
    """One candidate's outlines against the float model's, over all images.

    ``kept`` + ``moved`` + ``lost`` is what the float model finds, ``kept`` + ``moved`` + ``gained`` what the
    candidate does. ``mean_overlap``: of what both find; None: nothing.
    """

    calibrator: str
    images: int
    kept: int
    moved: int
    lost: int
    gained: int
    mean_overlap: float | None
    groups: tuple[GroupRecall, ...]
    worst_images: tuple[PageDifference, ...]

    def sentence(self) -> str:
        """What a user of the candidate would notice, without a full stop."""
        found = self.kept + self.moved + self.lost
        return (
            f"of the {found} outlines that the float model finds {self.lost} are lost and {self.moved} "
            f"moved; {self.gained} are new"
        )
