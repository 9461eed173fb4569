"""How long-running stages tell what they are doing, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeAlias

Advance: TypeAlias = Callable[[], None]


class Progress(Protocol):
    """A listener; the command line shows bars, the API is silent."""

    def stage(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """Begin a stage of ``total`` steps; call the given function after each."""
        ...

    def note(self, text: str) -> None:
        """Say something that the user should know now: one line."""
        ...


class Silent:
    """Listens to nothing."""

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Advance]:  # noqa: ARG002
        """Begin a stage that nobody watches."""
        yield lambda: None

    def note(self, text: str) -> None:
        """Say nothing."""


class SayingOnce:
    """Passes everything on to another listener, but no note a second time."""

    def __init__(self, listener: Progress) -> None:
        self._listener = listener
        self._said: set[str] = set()

    def stage(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """As the other listener."""
        return self._listener.stage(title, total)

    def note(self, text: str) -> None:
        """Say it, unless it was said."""
        if text not in self._said:
            self._said.add(text)
            self._listener.note(text)
