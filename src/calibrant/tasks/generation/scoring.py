"""Whether what a model wrote is right: rules for short answers, a function of the user's, or a program.

A score is a number from 0 (wrong) to 1 (right).
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from calibrant.core.errors import DataError, SettingsError
from calibrant.tasks.generation.documents import Document
from calibrant.tasks.generation.lean import same_statement

RULES = ("exact", "numeric", "choice", "lean", "regex:PATTERN")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_NAMED_CHOICE = re.compile(r"(?:answer|option|choice)\W+(?:is\W+)?([A-J])\b", re.IGNORECASE)
_CHOICE = re.compile(r"\b([A-J])\b")
_THOUGHT = re.compile(r".*</think>", re.DOTALL)
_CLOSE = 1e-6
_SECONDS, _SECONDS_EACH = 60.0, 30.0


class Scorer(Protocol):
    """Scores what was written for all documents."""

    def __call__(self, documents: Sequence[Document], written: Sequence[str]) -> list[float]:
        """One score a document, 0..1. Raises DataError, SettingsError."""
        ...


def scorer_named(rule: str | None, metric: str | None, checker: str | None) -> Scorer | None:
    """The one of a rule, a function ``module:name`` and a program that is given; None: none is.

    Raises SettingsError for two of them, and for what does not exist.
    """
    given = [name for name in (rule, metric, checker) if name is not None]
    if len(given) > 1:
        raise SettingsError(f"answers are scored in one way: {given[0]!r} or {given[1]!r}")
    if rule is not None:
        return _ByRule(_rule(rule))
    if metric is not None:
        return _ByFunction(_function(metric), metric)
    return None if checker is None else _ByProgram(checker)


@dataclass(frozen=True)
class _ByRule:
    matches: Callable[[str, str], bool]

    def __call__(self, documents: Sequence[Document], written: Sequence[str]) -> list[float]:
        return [
            float(self.matches(_THOUGHT.sub("", text), document.answer or ""))
            for document, text in zip(documents, written, strict=True)
        ]


def _rule(name: str) -> Callable[[str, str], bool]:
    kind, colon, pattern = name.partition(":")
    if kind == "regex" and colon:
        try:
            return _same_by(re.compile(pattern))
        except re.error as error:
            raise SettingsError(f"{pattern!r} is no regular expression: {error}") from error
    rules = {"exact": _exact, "numeric": _numeric, "choice": _choice, "lean": same_statement}
    if name not in rules:
        raise SettingsError(f"answers are compared by {', '.join(RULES)}, not by {name!r}")
    return rules[name]


def _exact(text: str, answer: str) -> bool:
    """The same words."""
    return text.split() == answer.split()


def _numeric(text: str, answer: str) -> bool:
    """The same last number."""
    found, wanted = (_NUMBER.findall(each) for each in (text, answer))
    if not found or not wanted:
        return False
    a, b = (float(each[-1].replace(",", "")) for each in (found, wanted))
    return abs(a - b) <= _CLOSE * max(1.0, abs(b))


def _choice(text: str, answer: str) -> bool:
    """The same letter: where one is called the answer, or the first that stands alone."""

    def letter(given: str) -> str | None:
        found = _NAMED_CHOICE.findall(given) or _CHOICE.findall(given)
        return str(found[0]).upper() if found else None

    return letter(text) is not None and letter(text) == letter(answer)


def _same_by(pattern: re.Pattern[str]) -> Callable[[str, str], bool]:
    """The same last match (its first group, if any); an answer without a match is compared as it is."""

    def last(given: str) -> str | None:
        found = list(pattern.finditer(given))
        if not found:
            return None
        return str(found[-1].group(1) if pattern.groups else found[-1].group()).strip()

    return lambda text, answer: last(text) is not None and last(text) == (last(answer) or answer.strip())


@dataclass(frozen=True)
class _ByFunction:
    function: Callable[..., Any]
    name: str

    def __call__(self, documents: Sequence[Document], written: Sequence[str]) -> list[float]:
        pairs = zip(documents, written, strict=True)
        return [_score(self.function(text, document.answer, document), self.name) for document, text in pairs]


def _function(name: str) -> Callable[..., Any]:
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise SettingsError(f"{name!r} is no module:function, e.g. mymetrics:score")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"{name!r} cannot be imported: {error}") from error
    if not callable(found):
        raise SettingsError(f"{name!r} is no function")
    return found  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _ByProgram:
    """Started once, without a shell: a JSON line in for each document, a JSON line with ``score`` out."""

    command: str

    def __call__(self, documents: Sequence[Document], written: Sequence[str]) -> list[float]:
        rows = [
            {
                "id": document.id,
                "prompt": document.prompt,
                "messages": None if document.messages is None else [dict(each) for each in document.messages],
                "answer": document.answer,
                "output": text,
            }
            for document, text in zip(documents, written, strict=True)
        ]
        given = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        try:
            done = subprocess.run(  # noqa: S603 - the user's own program, on the user's own word
                shlex.split(self.command), input=given, capture_output=True, text=True, check=False,
                encoding="utf-8", timeout=_SECONDS + _SECONDS_EACH * len(rows),
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise SettingsError(f"the checker {self.command!r} cannot be started: {error}") from error
        except subprocess.TimeoutExpired as error:
            raise DataError(f"the checker {self.command!r} took longer than {error.timeout:.0f} s") from error
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        if done.returncode or len(lines) != len(rows):
            last = (done.stderr.strip().splitlines() or ["nothing on stderr"])[-1]
            raise DataError(
                f"the checker {self.command!r} ended with {done.returncode} and {len(lines)} lines for "
                f"{len(rows)} documents: {last}"
            )
        return [self._read(line) for line in lines]

    def _read(self, line: str) -> float:
        try:
            found = json.loads(line)
            return _score(found["score"] if isinstance(found, dict) else found, self.command)
        except (ValueError, KeyError) as error:
            raise DataError(
                f'the checker {self.command!r} wrote {line!r:.80}; write {{"score": 1}}'
            ) from error


def _score(value: Any, name: str) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} gave {value!r:.40}, no number from 0 to 1") from error
    if not 0 <= found <= 1:
        raise DataError(f"{name} gave {found}; a score is from 0 to 1")
    return found
