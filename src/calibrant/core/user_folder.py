"""The user's own folders: one for what can be deleted at any time, one for what is to be kept."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def user_cache_folder() -> Path:
    """``CALIBRANT_CACHE``, or ``calibrant`` in the system's folder for caches."""
    own = os.environ.get("CALIBRANT_CACHE")
    return Path(own) if own else _system_folder("XDG_CACHE_HOME", "LOCALAPPDATA", ".cache")


def user_data_folder() -> Path:
    """``calibrant`` in the system's folder for users' data."""
    return _system_folder("XDG_DATA_HOME", "APPDATA", ".local/share")


def _system_folder(variable: str, on_windows: str, below_home: str) -> Path:
    base = os.environ.get(variable) or os.environ.get(on_windows)
    return (Path(base) if base else _home() / below_home) / "calibrant"


def _home() -> Path:
    """The user's home; where a container's user has none, the temporary folder."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir())
