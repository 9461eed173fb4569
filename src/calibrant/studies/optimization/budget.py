"""Time that a search may take."""

from __future__ import annotations

import time
from collections.abc import Callable

from calibrant.core.durations import duration_in_seconds
from calibrant.core.errors import SettingsError


def seconds_of(text: str) -> float:
    """Read a time such as ``90s``, ``10m`` or ``1.5h``; a bare number is seconds. Raises SettingsError."""
    seconds = duration_in_seconds(text)
    if not seconds:
        raise SettingsError(f"a budget of {text!r} is no time; use e.g. 10m, 90s or 1h")
    return seconds


class Budget:
    """A clock that runs from its making."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._now, self._begun = seconds, now, now()

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return self._now() - self._begun

    def until(self, share: float) -> Callable[[], bool]:
        """Asks whether less than ``share`` (0..1) of the time is gone."""
        return lambda: self.spent < share * self._seconds
