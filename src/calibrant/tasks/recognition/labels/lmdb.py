"""An LMDB as deep-text-recognition-benchmark and PaddleOCR write it: ``num-samples``, ``image-%09d`` (the
encoded image) and ``label-%09d`` (UTF-8), counted from 1.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from calibrant.core.errors import DataError, SettingsError
from calibrant.tasks.media.files import is_file, is_folder
from calibrant.tasks.recognition.types import LabelledLines, LineSample

_FILE = "data.mdb"


@dataclass(frozen=True)
class StoredImage:
    """An encoded image inside an LMDB."""

    folder: Path
    number: int

    def read_bytes(self) -> bytes:
        """Its bytes. Raises OSError when it is not there."""
        content = _value(self.folder, f"image-{self.number:09d}")
        if content is None:
            raise OSError(errno.ENOENT, "no such entry", str(self))
        return content

    def __str__(self) -> str:
        return f"{self.folder}/image-{self.number:09d}"


def find(path: Path) -> Path | None:
    """The folder that holds the data base."""
    if is_folder(path) and is_file(path / _FILE):
        return path
    return path.parent if path.name == _FILE and is_file(path) else None


def read(path: Path) -> LabelledLines:
    """All lines, in the order of their numbers. Raises DataError for another layout."""
    counted = _value(path, "num-samples")
    count = -1
    with suppress(ValueError):
        count = int(counted or b"")
    if count < 0:
        raise DataError(
            f"'{path}' is an LMDB without 'num-samples'; write it as PaddleOCR's create_lmdb does"
        )
    entries = _opened(path).stat()["entries"]
    if count > entries:
        raise DataError(f"'{path}' counts {count} lines in {entries} entries; write it anew")
    found = [(number, _value(path, f"label-{number:09d}")) for number in range(1, count + 1)]
    samples = tuple(
        LineSample(f"{number:09d}", StoredImage(path, number), label.decode("utf-8", errors="replace"))
        for number, label in found
        if label
    )
    missing = count - len(samples)
    return LabelledLines(
        samples, (f"{missing} of {count} lines have no label and are left out",) if missing else ()
    )


def _value(folder: Path, key: str) -> bytes | None:
    with _opened(folder).begin() as transaction:
        content: bytes | None = transaction.get(key.encode())
    return content


@lru_cache(8)  # an LMDB may be opened once in a process only
def _opened(folder: Path) -> Any:
    try:
        import lmdb
    except ImportError as error:
        raise SettingsError(f"'{folder}' is an LMDB; install what reads it: pip install lmdb") from error
    try:
        return lmdb.open(str(folder), readonly=True, lock=False, readahead=False, max_readers=64)
    except lmdb.Error as error:
        raise DataError(f"'{folder}' cannot be read as an LMDB ({error}); write it anew") from error
