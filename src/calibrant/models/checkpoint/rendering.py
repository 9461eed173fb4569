"""Documents as token numbers, by the model's own tokenizer and chat template."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import DataError, ModelError


class Renderable(Protocol):
    """A document, as the tokenizer sees it: one of text, prompt and messages is not None."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def text(self) -> str | None: ...  # noqa: D102
    @property
    def prompt(self) -> str | None: ...  # noqa: D102
    @property
    def messages(self) -> Sequence[Mapping[str, Any]] | None: ...  # noqa: D102
    @property
    def answer(self) -> str | None: ...  # noqa: D102
    @property
    def slice(self) -> str | None: ...  # noqa: D102


@dataclass(frozen=True)
class Tokens:
    """A document's tokens. scored_from: the first whose prediction counts, at least 1.

    ``is_cut``: it was longer than is looked at.
    """

    id: str
    numbers: NDArray[np.int64]
    scored_from: int
    slice: str | None
    is_cut: bool = False


class Tokenizer:
    """A model's own tokenizer, from its folder. Raises ModelError where there is none."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
        from transformers import AutoTokenizer, PreTrainedTokenizerFast

        self._folder = folder
        try:
            if folder.is_file():  # of llama.cpp
                self._tokenizer: Any = AutoTokenizer.from_pretrained(
                    folder.parent, gguf_file=folder.name, local_files_only=True, trust_remote_code=False
                )
            elif (folder / "tokenizer.json").is_file() and not (folder / "tokenizer_config.json").is_file():
                self._tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
            else:
                self._tokenizer = AutoTokenizer.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False
                )
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(f"{folder} has no tokenizer that can be used: {reason}") from error

    def tokens(self, document: Renderable, most: int) -> Tokens:
        """A document's tokens, the first ``most`` of them.

        Raises DataError where messages need a chat template and the model has none.
        """
        numbers, scored_from = self._rendered(document)
        kept = np.array(numbers[:most], np.int64)
        return Tokens(document.id, kept, max(1, scored_from), document.slice, len(numbers) > most)

    def text(self, numbers: Sequence[int], *, special: bool = False) -> str:
        """What tokens stand for. special: those that mark turns and ends as well."""
        found: str = self._tokenizer.decode(list(numbers), skip_special_tokens=not special)
        return found

    def pieces(self, document: Renderable, length: int) -> list[Tokens]:
        """A long text as documents of ``length`` tokens each; the last one may be shorter."""
        numbers, _ = self._rendered(document)
        return [
            Tokens(f"{document.id}@{start}", np.array(numbers[start : start + length], np.int64), 1, None)
            for start in range(0, len(numbers), length)
        ]

    def _rendered(self, document: Renderable) -> tuple[list[int], int]:
        if document.text is not None:
            return self._numbers(document.text), 1
        if document.prompt is not None:
            begun = self._numbers(document.prompt)
            if document.answer is None:
                return begun, 1
            return begun + self._tokenizer.encode(document.answer, add_special_tokens=False), len(begun)
        return self._conversation(document)

    def _conversation(self, document: Renderable) -> tuple[list[int], int]:
        if not self._tokenizer.chat_template:
            raise DataError(
                f"{document.id!r} has messages, and {self._folder} has no chat template; give prompt or text"
            )
        messages = [dict(message) for message in document.messages or ()]
        try:
            if document.answer is None:
                return self._templated(messages, begins_answer=False), 1
            asked = self._templated(messages, begins_answer=True)
            answered = self._templated(
                [*messages, {"role": "assistant", "content": document.answer}], begins_answer=False
            )
        except Exception as error:
            raise DataError(
                f"the chat template of {self._folder} refuses {document.id!r}: {str(error).splitlines()[0]}"
            ) from error
        return answered, _common(asked, answered)

    def _templated(self, messages: list[dict[str, Any]], *, begins_answer: bool) -> list[int]:
        text = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=begins_answer
        )
        return self._numbers(text, special=False)

    def _numbers(self, text: str, *, special: bool = True) -> list[int]:
        found: list[int] = self._tokenizer.encode(text, add_special_tokens=special)
        return found


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    pairs = zip(first, second, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
