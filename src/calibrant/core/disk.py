"""What a full disk is called, and what to do about it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from calibrant.core.errors import OutputError

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_MB = 10**6


def cannot_write(path: Path, error: OSError, remedy: str) -> OutputError:
    """The error for a file that the system will not write; a full disk has a remedy of its own."""
    if error.errno not in _FULL:
        return OutputError(f"cannot write {path}: {error.strerror or error}; {remedy}")
    return OutputError(
        f"cannot write {path}: its disk is full ({_free(path)}); free some space there; the same command "
        "then goes on where it was"
    )


def _free(path: Path) -> str:
    folder = next((parent for parent in path.absolute().parents if parent.is_dir()), None)
    try:
        return "a quota" if folder is None else f"{shutil.disk_usage(folder).free / _MB:.1f} MB are left"
    except OSError:
        return "nothing is left"
