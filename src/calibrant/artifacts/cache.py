"""Results kept between runs, by what decides them: bounded in size, and never needed.

An entry is one file, the hash of its content before the content. Whatever is wrong with the folder or an
entry only means that a result is computed again.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from calibrant.core.reading import read_bytes
from calibrant.core.writing import write_atomically

LIMIT = 2 * 2**30
"""Bytes that a cache may hold."""

_KEPT_SHARE = 0.9
_HASH_BYTES = hashlib.sha256().digest_size
_TEMPORARY = ".tmp"


class Cache:
    """Entries by kind and key. Several threads and processes may use one folder at once.

    limit: bytes; beyond it the entries that were not used for longest go. note: is told, once, why
    nothing can be kept.
    """

    def __init__(
        self, folder: Path, limit: int = LIMIT, note: Callable[[str], None] = lambda _: None
    ) -> None:
        self._folder, self._limit, self._note = folder, limit, note
        self._size: int | None = None
        self._sizing = threading.Lock()
        self._is_writable = True

    @property
    def limit(self) -> int:
        """Bytes that the cache may hold."""
        return self._limit

    def read(self, kind: str, key: str) -> bytes | None:
        """An entry's content; None where there is none, or a damaged one, which is removed."""
        path = self._path(kind, key)
        try:
            stored = read_bytes(path, self._limit)
        except OSError:
            return None
        content = stored[_HASH_BYTES:]
        if stored[:_HASH_BYTES] != hashlib.sha256(content).digest():
            self.remove(kind, key)
            return None
        with suppress(OSError):  # a folder that cannot be written to can still be read
            os.utime(path)
        return content

    def write(self, kind: str, key: str, content: bytes) -> None:
        """Keep an entry, if that is possible."""
        size = _HASH_BYTES + len(content)
        if not self._is_writable or size > self._limit * _KEPT_SHARE:
            return
        try:
            write_atomically(self._path(kind, key), hashlib.sha256(content).digest() + content, durably=False)
        except OSError as error:
            self._is_writable = False
            self._note(f"nothing is cached: {self._folder}: {error.strerror or error}; set CALIBRANT_CACHE")
            return
        with self._sizing:
            self._grow_by(size)

    def remove(self, kind: str, key: str) -> None:
        """Forget an entry, if it is there."""
        with suppress(OSError):
            self._path(kind, key).unlink(missing_ok=True)

    def _path(self, kind: str, key: str) -> Path:
        return self._folder / kind / hashlib.sha256(key.encode()).hexdigest()

    def _grow_by(self, size: int) -> None:
        """Count what was written; beyond the limit look at what is there, and delete the oldest."""
        self._size = sum(entry[1] for entry in self._entries()) if self._size is None else self._size + size
        if self._size <= self._limit:
            return
        entries = sorted(self._entries())
        self._size = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if self._size <= self._limit * _KEPT_SHARE:
                return
            with suppress(OSError):
                path.unlink(missing_ok=True)
                self._size -= size

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """When each file was last used, its size, and where it is; what was left half written, too."""
        for path in self._folder.rglob("*"):
            with suppress(OSError):  # another process may delete it meanwhile
                if path.is_file():
                    status = path.stat()
                    yield status.st_mtime, status.st_size, path
