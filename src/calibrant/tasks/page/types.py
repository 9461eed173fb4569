"""What is read on a page."""

from __future__ import annotations

from dataclasses import dataclass

from calibrant.tasks.recognition.types import Line
from calibrant.tasks.text_detection.types import Outlines


@dataclass(frozen=True, eq=False)
class PageText:
    """The outlines of a page's lines, in reading order, and what is read in each."""

    outlines: Outlines
    lines: tuple[Line, ...]
