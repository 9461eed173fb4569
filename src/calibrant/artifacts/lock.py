"""One process at a time in a folder: the others are refused, and a killed one leaves nothing behind.

The operating system holds the lock, and lets go of it when the process ends, however it ends.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from calibrant.core.disk import cannot_write
from calibrant.core.errors import OutputError
from calibrant.core.file_lock import try_lock

LOCK = ".calibrant.lock"

_OURS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# What O_NOFOLLOW says of a link: Linux and macOS, FreeBSD; ENXIO and EISDIR: a socket, a folder.
_LINKED = {errno.ELOOP, getattr(errno, "EMLINK", errno.ELOOP), errno.ENXIO, errno.EISDIR}
_HOLDER = b"process "


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only one who writes into ``folder``, which is there.

    Raises OutputError, naming the process, where another one is at work in it. On file systems that know no
    locks nobody is refused.
    """
    path = folder / LOCK
    descriptor = _opened(path)
    try:
        yield
    finally:
        if descriptor is not None:
            _released(path, descriptor)


def _opened(path: Path) -> int | None:
    """The locked file; None where it cannot be locked at all."""
    while True:
        try:
            descriptor = os.open(path, _OURS, 0o644)
        except OSError as error:
            if error.errno in _LINKED:
                raise _foreign(path) from error
            raise cannot_write(path, error, "choose another folder with --out") from error
        if not _is_ours(descriptor):
            os.close(descriptor)
            raise _foreign(path)
        try:
            try_lock(descriptor)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise OutputError(
                f"{path.parent} is in use by {holder}; wait until that has ended, or choose another folder"
            ) from None
        except OSError:
            os.close(descriptor)
            return None
        if _is_current(path, descriptor):
            with suppress(OSError):  # a full disk; only the others' error message is poorer
                os.ftruncate(descriptor, 0)
                os.write(descriptor, _HOLDER + str(os.getpid()).encode())
            return descriptor
        os.close(descriptor)  # another process has just ended and taken the file with it


def _is_ours(descriptor: int) -> bool:
    """Whether a process like this one made the file: what is written into it overwrites nothing else.

    A second name of somebody's file (a hard link) holds what we never write.
    """
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        return False
    held = os.read(descriptor, len(_HOLDER))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return found.st_nlink <= 1 and held in (b"", _HOLDER)


def _foreign(path: Path) -> OutputError:
    return OutputError(
        f"{path} is no lock of ours but a link or another's file; delete it, or choose another folder with "
        "--out"
    )


def _released(path: Path, descriptor: int) -> None:
    with suppress(OSError):  # Windows deletes no open file, and then it stays, unlocked
        path.unlink(missing_ok=True)
    os.close(descriptor)


def _is_current(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def _holder(descriptor: int) -> str:
    with suppress(OSError, ValueError):
        return os.read(descriptor, 40).decode("ascii") or "another process"
    return "another process"
