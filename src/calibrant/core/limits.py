"""Limits on what a file may ask for, which the environment can move."""

from __future__ import annotations

import os

from calibrant.core.errors import SettingsError


def limit_from(variable: str, default: int) -> int:
    """The whole number that an environment variable holds, or the default. Raises SettingsError."""
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) > 0):
        raise SettingsError(f"{variable}={text[:40]!r} is no limit; give a whole number, e.g. {default}")
    return int(text)
