"""How one model reads pages otherwise than another: what its users will notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadLine:
    """One line as a model read it; corners in pixels of the page.

    ``fate``: "kept" (both models read the same there), "moved" (they read it otherwise), "lost" (the float
    model alone found it) or "gained" (the candidate alone).
    """

    corners: tuple[tuple[float, float], ...]
    text: str
    fate: str


@dataclass(frozen=True)
class PageChange:
    """One page, worst first; ``path`` is its image, edits are those between the two models' texts."""

    page: str
    path: str
    edits: int
    reference: tuple[ReadLine, ...]
    candidate: tuple[ReadLine, ...]


@dataclass(frozen=True)
class PageDifferences:
    """One candidate's pages against the float model's, by line."""

    calibrator: str
    pages: int
    same: int
    changed: int
    lost: int
    gained: int
    worst_pages: tuple[PageChange, ...]

    def sentence(self) -> str:
        """What a user of the candidate would notice, without a full stop."""
        lines = self.same + self.changed + self.lost
        return (
            f"of the {lines} lines that the float model finds {self.lost} are lost and {self.changed} read "
            f"otherwise; {self.gained} are new"
        )
