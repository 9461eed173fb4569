"""Sizes in bytes as people write them, and back."""

from __future__ import annotations

import re

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,3})?)\s*(?:([kmgt]?)(i?)b?|(%))")


def bytes_in(text: str, whole: int | None = None) -> int | None:
    """A size such as ``800M``, ``1.5GB`` or ``2GiB``, or ``50%`` of ``whole``; None for anything else."""
    found = _SIZE.fullmatch(text.strip().lower())
    if not found or (found[4] and (whole is None or not 0 < float(found[1]) <= 100)):
        return None
    if found[4]:
        return int(float(found[1]) / 100 * (whole or 0))
    if found[3] and not found[2]:
        return None
    unit = _UNITS[found[2] or ""]
    return int(float(found[1]) * (2 ** (10 * list(_UNITS).index(found[2])) if found[3] else unit))


def format_bytes(count: int) -> str:
    """In megabytes or gigabytes, e.g. ``1.5 GB``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
