"""Which character a class of a recognizer stands for: from the ONNX file's metadata or from a key file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from calibrant.core.errors import DataError, ModelError
from calibrant.core.plain_yaml import parsed_yaml
from calibrant.tasks.media.files import text_of

BLANK = 0
"""The class that stands for no character: the first one, as PaddleOCR and most CTC recognizers have it."""

_BLANK_NAMES = frozenset({"blank", "<blank>", "[blank]", "[CTCblank]"})
_METADATA_KEYS = ("character", "dictionary")


@dataclass(frozen=True)
class Characters:
    """A list of characters as it was found. It may lack the blank in front and the space behind."""

    listed: tuple[str, ...]
    source: str

    def for_classes(self, classes: int) -> tuple[str, ...]:
        """One text a class, the blank's empty.

        PaddleOCR puts the blank in front of a list and, with ``use_space_char``, a space behind it; other
        lists begin with the word "blank". Raises ModelError where no reading gives so many classes.
        """
        begins_blank = bool(self.listed) and self.listed[0] in _BLANK_NAMES
        characters = self.listed[1:] if begins_blank else self.listed
        for table in (("", *characters), ("", *characters, " ")):
            if len(table) == classes:
                return table
        raise ModelError(
            f"the model tells {classes} classes but {self.source} lists {len(characters)} characters "
            f"({len(characters) + 2} with the blank and a space); give its own key file as --characters"
        )


def characters_in(metadata: Mapping[str, str]) -> Characters | None:
    """The characters that an ONNX file's metadata lists, one a line; None: it lists none."""
    for key in _METADATA_KEYS:
        if metadata.get(key):
            return Characters(_lines(metadata[key]), f"the model's metadata '{key}'")
    return None


def read_characters(path: Path) -> Characters:
    """A key file: text with one character a line, or PaddleOCR's ``inference.yml``. Raises DataError."""
    text = text_of(path)
    if path.suffix.lower() in {".yml", ".yaml"}:
        return Characters(_in_config(path, text), f"'{path}'")
    listed = _lines(text)
    if not listed:
        raise DataError(f"'{path}' lists no characters; write one a line")
    return Characters(listed, f"'{path}'")


def _lines(text: str) -> tuple[str, ...]:
    """Lines as PaddleOCR splits them: at line feeds only, for some lists hold other separators."""
    lines = [line.rstrip("\r") for line in text.split("\n")]
    return tuple(lines[:-1] if lines and not lines[-1] else lines)


def _in_config(path: Path, text: str) -> tuple[str, ...]:
    try:
        content = parsed_yaml(text)
    except ValueError as error:
        raise DataError(f"'{path}' is not valid YAML: {error}; give the key file itself") from error
    step = content.get("PostProcess") if isinstance(content, Mapping) else None
    listed = step.get("character_dict") if isinstance(step, Mapping) else None
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
        raise DataError(f"'{path}' has no list PostProcess: character_dict; give the key file itself")
    return tuple(str(character) for character in listed)
