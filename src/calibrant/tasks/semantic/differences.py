"""How one segmenter's maps differ from another's: what its users will notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassIou:
    """A class's IoU, percent (None: it is not labelled), and its share of all labelled pixels, percent."""

    name: str
    pixels: float
    reference: float | None
    candidate: float | None


@dataclass(frozen=True)
class Flip:
    """What share of all pixels changes from class ``reference`` to class ``candidate``, percent."""

    reference: str
    candidate: str
    pixels: float


@dataclass(frozen=True)
class Segment:
    """One connected part of a map: its outline, pixels of the image, and what became of it.

    ``fate``: "kept" (at least nine tenths of it are of the same class in the other map), "moved" (a half)
    or less: "lost" of the float model's, "gained" of the candidate's.
    """

    corners: tuple[tuple[float, float], ...]
    label: str
    fate: str


@dataclass(frozen=True)
class MapDifference:
    """One image, worst first; ``path`` is its file, ``changed`` the share of its pixels, percent."""

    image: str
    path: str
    changed: float
    reference: tuple[Segment, ...]
    candidate: tuple[Segment, ...]


@dataclass(frozen=True)
class SemanticDifferences:
    """One candidate's maps against the float model's, over all images; shares of pixels in percent.

    ``broken``: of labelled pixels those that only the float model has right, ``fixed``: only the candidate.
    """

    calibrator: str
    images: int
    changed: float
    broken: float
    fixed: float
    classes: tuple[ClassIou, ...]
    flips: tuple[Flip, ...]
    worst_images: tuple[MapDifference, ...]

    def sentence(self) -> str:
        """What a user of the candidate would notice, without a full stop."""
        if not self.flips:
            return f"all pixels of {self.images} images are of the class that the float model gives"
        worst = self.flips[0]
        return (
            f"{self.changed:.2f} % of the pixels of {self.images} images change their class: "
            f"{self.broken:.2f} % were right and are wrong, {self.fixed:.2f} % the other way round; most "
            f"often {worst.reference!r} becomes {worst.candidate!r} ({worst.pixels:.2f} %)"
        )
