"""Folders for the time being: they go when they are closed, and a killed process's when the next one begins.

A folder in use holds a locked file, so that only what nobody uses is swept away; folders of others, links and
folders without that file stay.
"""

from __future__ import annotations

import functools
import os
import shutil
import stat
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from calibrant.core.disk import cannot_write
from calibrant.core.file_lock import try_lock
from calibrant.core.user_folder import user_cache_folder

PREFIX = "calibrant-"
ROOM = 64 * 2**20
"""Bytes that have to be free in the system's temporary folder; else the user's cache folder is taken."""

_IN_USE = ".in-use"
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
_OLD = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class ScratchFolder:
    """A new folder for the time being; a context manager that gives its path.

    Raises OutputError where there is no room for one.
    """

    def __init__(self) -> None:
        home = scratch_home()
        swept(home)
        try:
            home.mkdir(parents=True, exist_ok=True)
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=home))
        except OSError as error:
            raise cannot_write(home / PREFIX, error, "set TMPDIR to a folder with room") from error
        self._remove = weakref.finalize(self, _removed, self.path, _held(self.path))

    def close(self) -> None:
        """Delete it with all that is in it."""
        self._remove()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def scratch_home() -> Path:
    """Where folders for the time being are made: the system's temporary folder, unless it is full."""
    usual, other = Path(tempfile.gettempdir()), user_cache_folder() / "scratch"
    free = _free(usual)
    return other if free < ROOM and _free(other) > free else usual


def scratch_remark() -> str | None:
    """What to say of the temporary folder before work begins; None: nothing."""
    usual, home = Path(tempfile.gettempdir()), scratch_home()
    if home == usual:
        return None
    return f"{usual} is nearly full ({_free(usual) / 1e6:.1f} MB are left); {home} is used in its place"


@functools.cache
def swept(home: Path) -> None:
    """Delete, once in this process, what killed processes of this user left in ``home``."""
    for path in home.glob(f"{PREFIX}*"):
        with suppress(OSError):
            _sweep(path)


def _sweep(path: Path) -> None:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
        return
    descriptor = os.open(path / _IN_USE, _OLD)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            try_lock(descriptor)  # which fails where a process still lives
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)


def _held(folder: Path) -> int | None:
    """The file that says that a folder is in use; None where the disk or the file system has none."""
    try:
        descriptor = os.open(folder / _IN_USE, _NEW, 0o600)
    except OSError:
        return None
    with suppress(OSError):
        try_lock(descriptor)
    return descriptor


def _removed(folder: Path, descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)
    shutil.rmtree(folder, ignore_errors=True)


def _free(folder: Path) -> int:
    existing = next((path for path in (folder, *folder.parents) if path.is_dir()), None)
    try:
        return 0 if existing is None else shutil.disk_usage(existing).free
    except OSError:
        return 0
