"""What was heard against what was said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from calibrant.core.metrics import MINIMIZE, Figure, Metric, Score
from calibrant.tasks.media.edits import EditCounts
from calibrant.tasks.media.texts import Edits, Normalisation, edits_between
from calibrant.tasks.speech.types import Clip, Transcript

WER = Metric("wer", "WER", direction=MINIMIZE, floor=0.9)
CER = Metric("cer", "CER", direction=MINIMIZE, floor=0.9)
"""Edits (substituted, missed, invented) by words, or by characters, that are said."""

WORD, CHARACTER = "word", "character"
SECONDS = (5, 10, 20)
"""Where one band of a clip's length ends and the next begins."""

_UNSPACED = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x3040, 0x30FF), (0x0E00, 0x0E7F))


@dataclass(frozen=True)
class Comparison:
    """How texts are compared: what is made equal first, and by what they are counted."""

    normalise: Normalisation
    unit: str

    @property
    def metric(self) -> Metric:
        """WER, or CER where characters are counted."""
        return CER if self.unit == CHARACTER else WER

    def units(self, text: str) -> tuple[str, ...]:
        """The words or characters of a text."""
        normal = self.normalise(text)
        return tuple(normal.replace(" ", "")) if self.unit == CHARACTER else tuple(normal.split())

    def edits(self, said: str, heard: str) -> Edits:
        """The edits between what was said and what was heard."""
        return edits_between(self.units(said), self.units(heard))


def unit_of(texts: Sequence[str]) -> str:
    """Characters where most of what is written has no spaces between words (Chinese, Japanese, Thai)."""
    letters = [character for text in texts for character in text if character.isalpha()]
    unspaced = sum(any(low <= ord(letter) <= high for low, high in _UNSPACED) for letter in letters)
    return CHARACTER if letters and 2 * unspaced > len(letters) else WORD


def band_of(seconds: float) -> str:
    """The band of length in which a clip lies."""
    return BANDS[sum(seconds > end for end in SECONDS)]


BANDS = (
    f"up to {SECONDS[0]} s",
    *(f"{low} to {high} s" for low, high in pairwise(SECONDS)),
    f"over {SECONDS[-1]} s",
)


def edit_counts(
    clips: Sequence[Clip], edits: Sequence[Edits], said: Callable[[Clip], str], how: Comparison
) -> EditCounts:
    """The evidence that these edits are."""
    return EditCounts(
        np.array([edit.count for edit in edits], np.int64),
        np.array([len(how.units(said(clip))) for clip in clips], np.int64),
    )


def score(
    clips: Sequence[Clip], found: Sequence[Transcript], said: Callable[[Clip], str], how: Comparison
) -> Score:
    """The error rate of transcripts, one for each clip in the same order; said: a clip's right text."""
    edits = [how.edits(said(clip), each.text) for clip, each in zip(clips, found, strict=True)]
    evidence = edit_counts(clips, edits, said, how)
    value = float(evidence.resample(np.ones((1, len(clips)), np.int64))[0])
    return Score(how.metric, value, _figures(edits, found, evidence, how), evidence)


def _figures(
    edits: Sequence[Edits], found: Sequence[Transcript], evidence: EditCounts, how: Comparison
) -> tuple[Figure, ...]:
    clips, said = len(edits), int(evidence.characters.sum())
    steps = sum(each.heard.steps for each in found)
    led = (Figure("top-1 led", _percent(sum(each.heard.followed for each in found), steps), "%"),)
    return (
        Figure("exact clips", _percent(sum(not edit.count for edit in edits), clips), "%"),
        Figure("empty clips", _percent(sum(not each.text for each in found), clips), "%"),
        Figure("runaway clips", _percent(sum(each.heard.is_runaway for each in found), clips), "%"),
        Figure("substituted", _percent(sum(edit.substituted for edit in edits), said)),
        Figure("missed", _percent(sum(edit.missed for edit in edits), said)),
        Figure("invented", _percent(sum(edit.invented for edit in edits), said)),
        *_by_length(edits, found, evidence, how),
        *(led if steps else ()),
    )


def _by_length(
    edits: Sequence[Edits], found: Sequence[Transcript], evidence: EditCounts, how: Comparison
) -> list[Figure]:
    """The error rate of clips of each length."""
    figures = []
    for band in BANDS:
        chosen = [at for at, each in enumerate(found) if band_of(each.seconds) == band]
        wrong = sum(edits[at].count for at in chosen)
        if chosen:
            rate = _percent(wrong, int(evidence.characters[chosen].sum()))
            figures.append(Figure(f"{how.metric.words} {band}", rate))
    return figures


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 4) if whole else None
