"""What a labelled page is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from calibrant.tasks.media.images import ImageFile

UNREADABLE = frozenset({"###", "*"})
"""Transcriptions that mark a region of which nothing is expected (ICDAR 2015, PaddleOCR's DetLabelEncode)."""


@dataclass(frozen=True, eq=False)
class Region:
    """A line or a word: its outline (K, 2), float32, pixels of the image, and its text.

    ``is_ignored``: finding it counts neither way.
    """

    outline: NDArray[Any]
    text: str
    is_ignored: bool = False


@dataclass(frozen=True, eq=False)
class PageSample:
    """A labelled image of a page or a scene."""

    id: str
    path: ImageFile
    regions: tuple[Region, ...]


@dataclass(frozen=True)
class LabelledPages:
    """A labelled set as a reader found it; ``warnings`` are remarks of one line."""

    samples: tuple[PageSample, ...]
    warnings: tuple[str, ...] = ()
