"""The one way to open a file for reading: a regular file, through links or not, and no more of it than its
reader has use for.

A name from a label file, a list, SHA256SUMS or a run's folder may lead to anything: a named pipe that nobody
writes to, ``/dev/zero``, a sparse file of a terabyte. Whoever opens such a thing waits for ever or fills the
memory. ``tests/test_opening.py`` finds ways around this module.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path

LARGEST = 4 * 2**30
"""Bytes; the labels of the largest public sets of images have 1 GB."""

LARGEST_HASHED = 64 * 2**30
"""Bytes; nothing that is hashed here, weights beside a model among it, has more."""

_CHUNK = 1 << 20
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)  # Windows
    | getattr(os, "O_NONBLOCK", 0)  # opening a pipe waits for who writes to it
    | getattr(os, "O_NOCTTY", 0)
)
_KINDS = (
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a named pipe, not a file"),
    (stat.S_ISSOCK, "is a socket, not a file"),
    (stat.S_ISCHR, "is a device, not a file"),
    (stat.S_ISBLK, "is a device, not a file"),
)


class UnfitFileError(OSError):
    """What a name leads to is no regular file, or larger than its reader takes.

    An OSError, so that whoever says of a file why it cannot be read says this of it, too.
    """


def opened(path: Path, most: int = LARGEST) -> BufferedReader:
    """A regular file, open for reading in binary.

    most: bytes that it may have.
    Raises OSError, with ``strerror`` for people: UnfitFileError for anything but a regular file of that size.
    """
    require_regular(path, most)
    stream = os.fdopen(os.open(path, _FLAGS), "rb")
    try:
        _require_fit(os.fstat(stream.fileno()), path, most)  # another may have taken its place
    except BaseException:
        stream.close()
        raise
    return stream


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """All of a regular file of at most ``most`` bytes. Raises OSError as :func:`opened`."""
    with opened(path, most) as stream:
        size = os.fstat(stream.fileno()).st_size
        content = stream.read(size + 1)
        if len(content) <= size:
            return content
        parts, length = [content], len(content)
        while chunk := stream.read(_CHUNK):  # the system's own files, in /proc, say that they are empty
            parts.append(chunk)
            length += len(chunk)
            if length > most:
                raise _too_large(path, length, most)
        return b"".join(parts)


def mentions(path: Path, words: bytes, most: int = LARGEST) -> bool:
    """Whether a regular file holds these bytes; read piece by piece. Raises OSError as :func:`opened`."""
    with opened(path, most) as stream:
        end = b""
        while chunk := stream.read(_CHUNK):
            if words in end + chunk:
                return True
            end = chunk[-len(words) :]
    return False


def read_text(path: Path, most: int = LARGEST, encoding: str = "utf-8", errors: str = "strict") -> str:
    r"""All of a text file, line ends as ``\n``.

    Raises OSError as :func:`opened`, and UnicodeDecodeError for other bytes.
    """
    text = read_bytes(path, most).decode(encoding, errors)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def require_regular(path: Path, most: int = LARGEST) -> None:
    """Refuse what a library is about to open by its name. Raises OSError as :func:`opened`."""
    try:
        found = os.stat(path)  # noqa: PTH116 - Path.stat is no better, and slower
    except ValueError as error:
        raise UnfitFileError(errno.EINVAL, "its name holds a NUL character", str(path)) from error
    _require_fit(found, path, most)


def is_regular(path: Path) -> bool:
    """Whether a regular file is there, through links or not; no for names that the system refuses."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content in hex. Raises OSError as :func:`opened`."""
    with opened(path, LARGEST_HASHED) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _require_fit(found: os.stat_result, path: Path, most: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((words for is_kind, words in _KINDS if is_kind(found.st_mode)), "is no regular file")
        raise UnfitFileError(errno.EINVAL, f"it {kind}", str(path))
    if found.st_size > most:
        raise _too_large(path, found.st_size, most)


def _too_large(path: Path, size: int, most: int) -> UnfitFileError:
    return UnfitFileError(errno.EFBIG, f"it has {size} bytes, and at most {most} are read", str(path))
