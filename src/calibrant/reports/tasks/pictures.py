"""Small copies of test images inside a report, as many as fit."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from calibrant.core.errors import ImageError
from calibrant.reports.html.blocks import DrawnBox, Photo
from calibrant.reports.material import Material
from calibrant.tasks.media.thumbnails import Thumbnail, thumbnail

LONGEST_SIDE = 480
_QUALITY = 72
_BUDGET = 2_000_000
"""Bytes of base64 text for all photographs together; those that do not fit keep what is told of them."""
_LINE = 40  # pixels for a line of text below a picture, half of it above, as the picture stays in the middle


class _OfCandidate(Protocol):
    @property
    def calibrator(self) -> str: ...


FoundT = TypeVar("FoundT", bound=_OfCandidate)


@dataclass
class Budget:
    """What is left for photographs, bytes."""

    left: int = field(default_factory=lambda: _BUDGET)

    def take(self, picture: Thumbnail) -> str | None:
        """The picture as an address that holds it; None where it does not fit."""
        text = f"data:image/jpeg;base64,{base64.b64encode(picture.jpeg).decode()}"
        if len(text) > self.left:
            return None
        self.left -= len(text)
        return text


def small_copy(path: str, longest_side: int) -> Thumbnail | None:
    """None where the file is gone or damaged."""
    try:
        return thumbnail(Path(path), longest_side, _QUALITY)
    except ImageError:
        return None


def winner_first(found: Sequence[FoundT], material: Material) -> list[FoundT]:
    """What is told of each candidate, the recommended one first."""
    return sorted(found, key=lambda difference: difference.calibrator != material.winning)


def differences_in(material: Material) -> list[Any]:
    """What the run's diagnosis tells of each candidate's predictions, the recommended one's first."""
    return winner_first(material.diagnosis.differences if material.diagnosis else (), material)


def with_captions(
    name: str, summary: str, path: str, captions: tuple[str, str], budget: Budget, longest_side: int
) -> Photo:
    """A picture twice, below it what the float model and the candidate say of it."""
    small = small_copy(path, longest_side)
    width, height = (small.width, small.height) if small else (longest_side, 1)
    width = max(width, longest_side // 2)
    fp32, candidate = ((_caption(text, height + _LINE - 6),) for text in captions)
    source = budget.take(small) if small else None
    return Photo(name, summary, width, height + _LINE, source, fp32, candidate)


def _caption(text: str, bottom: int) -> DrawnBox:
    return DrawnBox(0, 0, 0, 0, text or "(nothing)", 2, bottom, ends_at_x=False, fate="kept")
