"""What a document is like: the part of the set it is from, its turns, its script, whether it thinks."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

from calibrant.tasks.generation.documents import Document

MANY_TURNS = 4
_THINKING = "<think>"
_LETTERS = 4000
"""Of a document that decide its script."""


def labels_of(documents: Sequence[Document]) -> tuple[tuple[str, ...], ...]:
    """Each document's slices: its own, and those by which the whole set differs.

    Turns of conversations, the script where no slice is named, and thinking.
    """
    kinds = [[document.slice for document in documents], [_turns(each) for each in documents]]
    if not any(kinds[0]):
        kinds.append([_script(document) for document in documents])
    kinds.append([_mode(document) for document in documents])
    return tuple(tuple(filter(None, labels)) for labels in zip(*kinds, strict=True))


def telling(labels: Sequence[Sequence[str]]) -> dict[str, int]:
    """How many documents have each label, without those that all of them have."""
    counts = Counter(label for each in labels for label in each)
    return {label: count for label, count in counts.items() if count < len(labels)}


def _turns(document: Document) -> str | None:
    if document.messages is None:
        return None
    turns = sum(message.get("role") == "user" for message in document.messages)
    if turns >= MANY_TURNS:
        return f"{MANY_TURNS} or more turns"
    return "1 turn" if turns == 1 else f"{turns} turns"


def _text(document: Document) -> str:
    if document.messages is None:
        return document.text or document.prompt or ""
    return " ".join(str(message.get("content", "")) for message in document.messages)


def _script(document: Document) -> str | None:
    """The script of most of its letters, as Unicode calls it; None: it has no letters."""
    letters = (letter for letter in _text(document)[:_LETTERS] if letter.isalpha())
    counts = Counter(unicodedata.name(letter, "UNKNOWN").split()[0] for letter in letters)
    if not counts:
        return None
    name = counts.most_common(1)[0][0]
    return "Han script" if name == "CJK" else f"{name.capitalize()} script"


def _mode(document: Document) -> str | None:
    found = _text(document) + (document.answer or "")
    return "thinking" if _THINKING in found else None
