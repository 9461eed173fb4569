"""Kinds of characters and bands of length, by which errors and samples are grouped."""

from __future__ import annotations

import unicodedata
from collections import Counter

KINDS = (
    "Latin letters",
    "digits",
    "Han",
    "kana and hangul",
    "other letters",
    "punctuation",
    "spaces",
    "other",
)
BANDS = ("1 to 5", "6 to 10", "11 to 20", "21 to 40", "over 40")

_BAND_ENDS = (5, 10, 20, 40)
_BY_NAME = (
    ("LATIN", "Latin letters"),
    ("CJK", "Han"),
    ("HIRAGANA", "kana and hangul"),
    ("KATAKANA", "kana and hangul"),
    ("HANGUL", "kana and hangul"),
)


def kind_of(character: str) -> str:
    """Which of :data:`KINDS` a character is."""
    category = unicodedata.category(character)
    if character.isspace():
        return "spaces"
    if category == "Nd":
        return "digits"
    if category.startswith(("P", "S")):
        return "punctuation"
    if not category.startswith(("L", "M")):
        return "other"
    name = unicodedata.name(character, "")
    return next((kind for start, kind in _BY_NAME if start in name), "other letters")


def kinds_in(text: str) -> Counter[str]:
    """How many characters of each kind a text has."""
    return Counter(kind_of(character) for character in text)


def band_of(characters: int) -> str:
    """The band of length in which a line of so many characters lies."""
    return BANDS[sum(characters > end for end in _BAND_ENDS)]
