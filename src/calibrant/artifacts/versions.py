"""The version of a file's content: one check for all that Calibrant writes and reads again."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from calibrant.artifacts.store import read_json
from calibrant.core.errors import DataError

VERSION_KEY = "schema_version"


def read_versioned(
    path: Path, readable: Collection[int], remedy: str, key: str = VERSION_KEY
) -> dict[str, Any]:
    """A JSON file's content, of a version that can be read. Raises DataError with the remedy otherwise."""
    return require_version(read_json(path), path, readable, remedy, key)


def require_version(
    content: dict[str, Any],
    place: Path | str,
    readable: Collection[int],
    remedy: str,
    key: str = VERSION_KEY,
) -> dict[str, Any]:
    """The content, where it says that it is of one of the versions ``readable``.

    Raises DataError otherwise.
    """
    found = content.get(key)
    if isinstance(found, bool) or not isinstance(found, int) or found not in readable:
        known = " or ".join(map(str, sorted(readable)))
        raise DataError(f"{place} has schema version {_told(found)}, not {known}; {remedy}")
    return content


def _told(version: Any) -> str:
    return repr(version)[:40] if version is not None and not isinstance(version, int) else str(version)
