"""What a recognizer's numbers stand for: tokens.txt, vocab.json, or a tokenizer.json of byte-level pieces."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from calibrant.core.errors import DataError
from calibrant.tasks.media.files import text_of

_BLANKS = ("<blk>", "<blank>", "<eps>", "<pad>", "[PAD]", "<|blank|>")
_SILENT = (*_BLANKS, "<s>", "</s>", "<unk>", "<sos/eos>", "[UNK]", "<sos>", "<eos>")
_SPACES = ("▁", "|")


@dataclass(frozen=True)
class Tokens:
    """The pieces by their numbers; empty where a number has none.

    is_bytes: pieces are bytes in GPT-2's alphabet; else "▁" (or "|") is a space. special: what is no text.
    """

    pieces: tuple[str, ...]
    is_bytes: bool = False
    special: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.pieces)

    def number(self, *names: str) -> int | None:
        """The number of the first of these pieces that there is."""
        return next((self.pieces.index(name) for name in names if name in self.pieces), None)

    @property
    def blank(self) -> int | None:
        """The number of CTC's blank, where it has a name."""
        return self.number(*_BLANKS)

    def text(self, numbers: Sequence[int]) -> str:
        """What these numbers say; those without a piece, and special ones, say nothing."""
        said = [
            self.pieces[number]
            for number in numbers
            if 0 <= number < len(self.pieces) and number not in self.special
        ]
        if self.is_bytes:
            letters = _bytes_of_letters()
            content = bytes(letters[letter] for piece in said for letter in piece if letter in letters)
            return content.decode("utf-8", "replace").strip()
        joined = "".join(said)
        for sign in _SPACES:
            joined = joined.replace(sign, " ")
        return " ".join(joined.split())


def read_tokens(path: Path) -> Tokens:
    """Read any of the forms, told by the file's name and content. Raises DataError."""
    text = text_of(path)
    if path.suffix == ".json":
        try:
            return _from_json(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise DataError(
                f"'{path}' is no vocabulary: {error}; give tokens.txt or tokenizer.json"
            ) from error
    lines = [line.rstrip("\r") for line in text.split("\n") if line.strip("\r")]
    if not lines:
        raise DataError(f"'{path}' lists no tokens; write a token and its number a line")
    return _from_lines(lines, path)


def _from_lines(lines: Sequence[str], path: Path) -> Tokens:
    """``token number`` a line, as sherpa-onnx has it (Whisper's in base64); or a token a line."""
    pairs = [line.rsplit(maxsplit=1) for line in lines]
    # A space as a token leaves its number alone in the line.
    pairs = [pair if len(pair) == 2 else [" ", *pair] for pair in pairs]
    if not all(len(pair) == 2 and pair[1].isdecimal() for pair in pairs):
        return _plain_tokens(list(lines))
    most = max(int(number) for _, number in pairs)
    if most > 4 * len(pairs) + 1000:
        raise DataError(f"'{path}' has a token {most} among {len(pairs)}; number them from 0")
    pieces = [""] * (most + 1)
    for piece, number in pairs:
        pieces[int(number)] = piece
    decoded = _base64(pieces)
    return Tokens(tuple(decoded), is_bytes=True) if decoded else _plain_tokens(pieces)


def _base64(pieces: Sequence[str]) -> list[str] | None:
    letters = {byte: letter for letter, byte in _bytes_of_letters().items()}
    found = []
    try:
        for piece in pieces:
            found.append("".join(letters[byte] for byte in base64.b64decode(piece, validate=True)))  # noqa: PERF401
    except (binascii.Error, ValueError):
        return None
    # Short words of letters are base64 too, but a vocabulary of bytes holds each byte.
    return found if set(letters.values()) <= {piece for piece in found if len(piece) == 1} else None


def _plain_tokens(pieces: Sequence[str]) -> Tokens:
    special = {
        number
        for number, piece in enumerate(pieces)
        if piece in _SILENT or (piece.startswith("<|") and piece.endswith("|>"))
    }
    return Tokens(tuple(pieces), special=frozenset(special))


def _from_json(content: Any) -> Tokens:
    """A tokenizer.json of the package tokenizers, or a vocabulary: pieces with numbers, or in order."""
    if isinstance(content, list):
        return _plain_tokens([str(piece) for piece in content])
    if "model" not in content:
        return _plain_tokens(_in_order({str(piece): int(number) for piece, number in content.items()}))
    vocabulary = {str(piece): int(number) for piece, number in content["model"]["vocab"].items()}
    special = set()
    for added in content.get("added_tokens", ()):
        vocabulary[str(added["content"])] = int(added["id"])
        special.add(int(added["id"]))
    return Tokens(tuple(_in_order(vocabulary)), is_bytes=True, special=frozenset(special))


def _in_order(vocabulary: Mapping[str, int]) -> list[str]:
    numbers = vocabulary.values()
    if not vocabulary or min(numbers) < 0 or max(numbers) > 4 * len(vocabulary) + 1000:
        raise ValueError("its numbers do not begin at 0")
    pieces = [""] * (max(numbers) + 1)
    for piece, number in vocabulary.items():
        pieces[number] = piece
    return pieces


@cache
def _bytes_of_letters() -> dict[str, int]:
    """GPT-2's alphabet: a letter that can be shown for each byte (openai/gpt-2, encoder.py)."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in shown]
    return {
        **{chr(byte): byte for byte in shown},
        **{chr(256 + position): byte for position, byte in enumerate(others)},
    }
