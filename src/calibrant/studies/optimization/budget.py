"""Time that a search may take."""

from __future__ import annotations

from calibrant.core.durations import duration_in_seconds
from calibrant.core.errors import SettingsError


def seconds_of(text: str) -> float:
    """Read a time such as ``90s``, ``10m`` or ``1.5h``; a bare number is seconds. Raises SettingsError."""
    seconds = duration_in_seconds(text)
    if not seconds:
        raise SettingsError(f"a budget of {text!r} is no time; use e.g. 10m, 90s or 1h")
    return seconds
