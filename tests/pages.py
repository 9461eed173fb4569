"""The documents as a test sees them: pages, their blocks of code, and the commands in these."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SKILL = ROOT / "src" / "calibrant" / "cli" / "SKILL.md"
PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), SKILL)
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins (line, from 1), its language, and its text."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """The page and the line, as an editor opens it."""
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"

    @property
    def commands(self) -> tuple[str, ...]:
        """What a shell is given: lines of a ``sh`` block, in a ``console`` block those after a ``$``.

        A script with a loop is one command.
        """
        if "\ndone" in self.text:
            return (self.text,)
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.language == "console":
            return tuple(line.removeprefix("$ ") for line in lines if line.startswith("$ "))
        return tuple(line for line in lines if line.strip()) if self.language == "sh" else ()


def blocks_of(page: Path) -> Iterator[Block]:
    """Every fenced block of a page."""
    text = page.read_text("utf-8")
    for found in _FENCED.finditer(text):
        yield Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])
