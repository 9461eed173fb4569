"""Spans of time as people write them."""

from __future__ import annotations

import re

from calibrant.core.errors import SettingsError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)")


def duration_in_seconds(text: str) -> float | None:
    """A span such as ``90s``, ``5m`` or ``1.5h`` in seconds, a bare number too; None for anything else."""
    found = _DURATION.fullmatch(text.strip().lower())
    return float(found[1]) * _UNITS[found[2] or "s"] if found else None


def seconds_of(budget: float | str, *, may_be_zero: bool = False) -> float:
    """A budget of time in seconds: a number, or text such as ``90s``, ``10m`` or ``1.5h``.

    Raises SettingsError for what is no time, and for 0 unless it ``may_be_zero``.
    """
    seconds = duration_in_seconds(budget) if isinstance(budget, str) else float(budget)
    if seconds is None or not (seconds > 0 or (may_be_zero and seconds == 0)):
        raise SettingsError(f"a budget of {budget!r} is no time; use e.g. 10m, 90s or 1h")
    return seconds
