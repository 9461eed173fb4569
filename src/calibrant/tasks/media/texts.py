"""How texts are compared: what is made equal first, and which edits lie between two."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from calibrant.core.errors import SettingsError

NO_STEP = "none"

_STEPS: Mapping[str, Callable[[str], str]] = {
    "nfkc": lambda text: unicodedata.normalize("NFKC", text),
    "casefold": str.casefold,
    "no-spaces": lambda text: re.sub(r"\s+", "", text),
    "one-space": lambda text: re.sub(r"\s+", " ", text).strip(),
    "letters-digits": lambda text: "".join(character for character in text if character.isalnum()),
    "words": lambda text: " ".join(re.findall(r"[\w']+", text)),
}

STEPS = (NO_STEP, *_STEPS)


@dataclass(frozen=True)
class Normalisation:
    """What is done to both texts, in order, before they are compared; ``name`` is how users give it.

    Steps: ``nfkc`` (full-width forms are their plain ones), ``casefold``, ``no-spaces``, ``one-space`` (runs
    of white space are one space), ``letters-digits`` (all else is left out), ``words`` (of letters, digits
    and apostrophes, with one space between them); ``none`` changes nothing.
    """

    name: str = NO_STEP

    def __post_init__(self) -> None:
        for step in self._steps:
            if step not in STEPS:
                raise SettingsError(
                    f"text is not normalised by '{step}'; use some of {', '.join(STEPS)}, e.g. nfkc,casefold"
                )

    def __call__(self, text: str) -> str:
        """The text after all steps."""
        for step in self._steps:
            if step != NO_STEP:
                text = _STEPS[step](text)
        return text

    @property
    def _steps(self) -> tuple[str, ...]:
        return tuple(self.name.split(","))


@dataclass(frozen=True)
class Edits:
    """The fewest edits, of characters or words, that turn what was read into what is written, by kind."""

    substituted: int
    missed: int
    invented: int

    @property
    def count(self) -> int:
        """All of them: the Levenshtein distance."""
        return self.substituted + self.missed + self.invented


@lru_cache(1 << 16)  # a study scores the same pairs again and again
def edits_between(written: Sequence[Hashable], found: Sequence[Hashable]) -> Edits:
    """The edits between what is written and what was read: texts, or tuples of words."""
    if written == found:
        return Edits(0, 0, 0)
    from rapidfuzz.distance import Levenshtein

    kinds = [operation.tag for operation in Levenshtein.editops(written, found)]
    return Edits(kinds.count("replace"), kinds.count("delete"), kinds.count("insert"))
