"""The time that a piece of work may take, and what it went into."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock:
    """Runs from its making.

    budget: seconds; None: no limit. now: seconds from any beginning. before: seconds that were spent
    earlier.
    """

    def __init__(
        self, budget: float | None = None, now: Callable[[], float] = time.monotonic, before: float = 0.0
    ) -> None:
        self.budget, self._now, self._begun = budget, now, now() - before
        self.seconds: dict[str, float] = {}

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return self._now() - self._begun

    def allows(self, needed: float = 0.0, share: float = 1.0) -> bool:
        """Whether so many more seconds are left, of the first ``share`` (0..1) of the budget."""
        return self.budget is None or self.spent + needed < share * self.budget

    def until(self, share: float) -> Callable[[], bool]:
        """Asks whether less than ``share`` (0..1) of the budget is gone."""
        return lambda: self.allows(share=share)

    @contextmanager
    def part(self, name: str) -> Iterator[Callable[[], float]]:
        """Time a part of the work; the given function says how long it has taken so far, seconds."""
        begun = self._now()
        try:
            yield lambda: self._now() - begun
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + self._now() - begun, 3)
