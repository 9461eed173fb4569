"""Sentences as numbers of phonemes: JSON lines, as Piper takes and its training writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calibrant.core.errors import DataError
from calibrant.tasks.media.files import first, is_file, is_folder, text_of
from calibrant.tasks.synthesis.types import Sentence

_NUMBERS = ("phoneme_ids", "input_ids", "ids", "tokens")
FORM = "a .jsonl with phoneme_ids (and text) on each line"


def open_sentences(source: str, limit: int | None = None) -> tuple[Sentence, ...]:
    """The first ``limit`` sentences. Raises DataError where there are none, or one has no numbers."""
    path = Path(source)
    if is_folder(path):
        found = sorted(path.glob("*.jsonl"))
        if len(found) != 1:
            raise DataError(f"'{path}' holds {len(found)} .jsonl files; give one, {FORM}")
        path = found[0]
    if not is_file(path):
        raise DataError(f"'{path}' does not exist; give {FORM}")
    lines = [line for line in text_of(path).splitlines() if line.strip()]
    if not lines:
        raise DataError(f"'{path}' holds no sentence; give {FORM}")
    kept = lines[: first(limit, len(lines))]
    return tuple(_sentence(line, number, path) for number, line in enumerate(kept, 1))


def _sentence(line: str, number: int, path: Path) -> Sentence:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' line {number} is no JSON: {error}; give {FORM}") from error
    found = next((row[name] for name in _NUMBERS if name in row), None) if isinstance(row, Mapping) else None
    if (
        not isinstance(found, list)
        or not found
        or not all(type(value) is int and value >= 0 for value in found)
    ):
        raise DataError(
            f"'{path}' line {number} has no list of phoneme_ids; make them with the voice's own phonemizer"
        )
    return Sentence(str(row.get("id", f"sentence-{number}")), tuple(found), str(row.get("text", "")))
