"""How one model reads lines differently from another: what its users will notice.

Error rates are points, 0 and above.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GroupErrors:
    """Errors by written character of one kind or of lines of one length; None: the group has none.

    ``kind`` is "characters" or "length". ``characters``: written ones.
    """

    kind: str
    name: str
    characters: int
    reference: float | None
    candidate: float | None


@dataclass(frozen=True)
class Confusion:
    """How often ``written`` is read as ``read``; an empty text: it is missed, or invented."""

    written: str
    read: str
    reference: int
    candidate: int


@dataclass(frozen=True)
class LineDifference:
    """One line that both models read, worst first; ``path`` is its image, edits are against ``written``."""

    line: str
    path: str
    written: str
    reference: str
    candidate: str
    reference_edits: int
    candidate_edits: int


@dataclass(frozen=True)
class RecognitionDifferences:
    """One candidate's lines against the float model's.

    ``broken``: lines that only the float model reads without an error, ``fixed``: that only the candidate
    does; ``changed``: all that are read differently. Confusions are what the candidate does more often.
    """

    calibrator: str
    lines: int
    reference_exact: int
    candidate_exact: int
    changed: int
    broken: int
    fixed: int
    groups: tuple[GroupErrors, ...]
    confusions: tuple[Confusion, ...]
    worst_lines: tuple[LineDifference, ...]

    def sentence(self) -> str:
        """What a user of the candidate would notice, without a full stop."""
        if not self.changed:
            return f"all {self.lines} lines are read as by the float model"
        told = (
            f"{self.changed} of {self.lines} lines are read differently: {self.broken} that were right are "
            f"wrong, {self.fixed} that were wrong are right"
        )
        if not self.confusions:
            return told
        worst = self.confusions[0]
        return f"{told}; most often {worst_words(worst)} ({worst.reference} -> {worst.candidate} times)"


def worst_words(confusion: Confusion) -> str:
    """A confusion in words, e.g. "'0' read as 'O'"."""
    if not confusion.read:
        return f"{confusion.written!r} missed"
    return (
        f"{confusion.written!r} read as {confusion.read!r}"
        if confusion.written
        else f"{confusion.read!r} invented"
    )
