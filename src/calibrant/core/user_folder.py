"""The user's cache folder: what is kept between runs, and can be deleted at any time."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache_folder() -> Path:
    """``CALIBRANT_CACHE``, or ``calibrant`` in the system's folder for caches."""
    own = os.environ.get("CALIBRANT_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "calibrant"
