"""Clips of speech and what is heard in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Clip:
    """One sound file; ``text`` is what is said in it, None where nothing tells."""

    id: str
    path: Path
    text: str | None = None


@dataclass(frozen=True, eq=False)
class LabelledClips:
    """Clips in order, and remarks of one line."""

    samples: tuple[Clip, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Heard:
    """What decoding gave: token numbers, and whether it was cut off as it would not end.

    ``followed`` of ``steps`` next tokens were the float model's, where it was led along those.
    """

    tokens: tuple[int, ...]
    is_runaway: bool = False
    followed: int = 0
    steps: int = 0


@dataclass(frozen=True)
class Transcript:
    """A prediction: the text of a clip of so many seconds, and how it was found (see Heard)."""

    text: str
    seconds: float
    heard: Heard
