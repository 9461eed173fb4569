"""What text recognition is about: images of single lines, and the text that a model reads in them."""

from __future__ import annotations

from dataclasses import dataclass

from calibrant.tasks.media.images import ImageFile


@dataclass(frozen=True, eq=False)
class LineSample:
    """A labelled image of one line of text."""

    id: str
    path: ImageFile
    text: str


@dataclass(frozen=True)
class LabelledLines:
    """A labelled set as a reader found it; ``warnings`` are remarks of one line."""

    samples: tuple[LineSample, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """What a model read: the text, and how sure it is of it (0..1 for probabilities)."""

    text: str
    confidence: float
