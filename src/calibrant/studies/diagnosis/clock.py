"""The time that a diagnosis may take, and what it went into."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock:
    """Runs from its making. budget: seconds; None: no limit."""

    def __init__(self, budget: float | None, now: Callable[[], float] = time.monotonic) -> None:
        self.budget, self._now, self._begun = budget, now, now()
        self.seconds: dict[str, float] = {}

    def allows(self, needed: float = 0.0, share: float = 1.0) -> bool:
        """Whether so many more seconds are left, of the first ``share`` (0..1) of the budget."""
        return self.budget is None or self._now() - self._begun + needed < share * self.budget

    @contextmanager
    def part(self, name: str) -> Iterator[Callable[[], float]]:
        """Time a part of the work; the given function says how long it has taken so far, seconds."""
        begun = self._now()
        try:
            yield lambda: self._now() - begun
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + self._now() - begun, 3)
