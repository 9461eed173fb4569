"""Time that a search may take."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from calibrant.core.errors import SettingsError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(text: str) -> float:
    """Read a time such as ``90s``, ``10m`` or ``1.5h``; a bare number is seconds. Raises SettingsError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip().lower())
    if found is None or float(found[1]) == 0:
        raise SettingsError(f"a budget of {text!r} is no time; use e.g. 10m, 90s or 1h")
    return float(found[1]) * _UNITS[found[2] or "s"]


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
