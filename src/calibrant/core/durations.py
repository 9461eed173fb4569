"""Spans of time as people write them."""

from __future__ import annotations

import re

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)")


def duration_in_seconds(text: str) -> float | None:
    """A span such as ``90s``, ``5m`` or ``1.5h`` in seconds, a bare number too; None for anything else."""
    found = _DURATION.fullmatch(text.strip().lower())
    return float(found[1]) * _UNITS[found[2] or "s"] if found else None
