"""Arrays in files, one sample at a time: a file may unpack to more than there is memory.

``.npy`` files and what lies uncompressed in a ``.npz`` are mapped into memory. What is compressed is read
as a stream, from the beginning again where somebody goes back.
"""

from __future__ import annotations

import math
import struct
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import DataError
from calibrant.core.reading import require_regular

_LARGEST_FILE = 2**44
_LOCAL_HEADER = struct.Struct("<26xHH")
_MOST_PASSED = 64


@dataclass(frozen=True, eq=False)
class StoredArray:
    """An array in a file. read: a part along the first axis, (count, ...), from start (inclusive)."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[int, int], NDArray[Any]]


def stored_arrays(path: Path) -> dict[str, StoredArray]:
    """The arrays of a ``.npy`` or ``.npz`` file by name, ``.npy``: by the file's; nothing is read yet.

    Raises DataError for a file that is missing, no regular one, damaged, or holds Python objects.
    """
    try:
        require_regular(path, _LARGEST_FILE)
        if not zipfile.is_zipfile(path):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            if not isinstance(array, np.ndarray):
                raise ValueError("it holds no array")
            return {path.name: _mapped(path.name, array)}
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            return {info.filename.removesuffix(".npy"): _member(path, archive, info) for info in members}
    except FileNotFoundError:
        raise DataError(
            f"'{path}' does not exist; give a folder of images, a glob, a .txt list or .npy"
        ) from None
    except OSError as error:
        raise DataError(
            f"'{path}' cannot be read ({error.strerror or error}); save it with numpy.save"
        ) from error
    except DataError:
        raise
    except Exception as error:  # whatever a damaged file makes numpy, zipfile or zlib say
        raise DataError(f"'{path}' cannot be read as arrays ({error}); save it with numpy.save") from error


def _mapped(name: str, array: NDArray[Any]) -> StoredArray:
    def read(start: int, count: int) -> NDArray[Any]:
        return array[start : start + count]

    return StoredArray(name, array.shape, array.dtype, read)


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> StoredArray:
    with archive.open(info) as stream:
        shape, in_columns, dtype = _header(stream)
        offset = stream.tell()
    if dtype.hasobject:
        raise ValueError(f"{info.filename} holds Python objects")
    if info.file_size != offset + math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{info.filename} is cut off")
    if info.compress_type == zipfile.ZIP_STORED:
        place = _begin_of(path, info) + offset
        order: Any = "F" if in_columns else "C"
        if math.prod(shape) == 0:
            return _mapped(info.filename, np.zeros(shape, dtype))
        return _mapped(info.filename, np.memmap(path, dtype, "r", place, shape, order))
    if in_columns and len(shape) > 1:
        raise ValueError(f"{info.filename} is in Fortran's order; save numpy.ascontiguousarray of it")
    return StoredArray(info.filename, shape, dtype, _Stream(path, info.filename, shape, dtype).read)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(stream)


def _begin_of(path: Path, info: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: its local header has a name and extra fields of its own lengths."""
    with path.open("rb") as stream:
        stream.seek(info.header_offset)
        lengths: tuple[int, int] = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
    return info.header_offset + _LOCAL_HEADER.size + sum(lengths)


class _Stream:
    """A compressed array, read in order; several threads may ask, a little out of order."""

    def __init__(self, path: Path, member: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._path, self._member, self._shape, self._dtype = path, member, shape, dtype
        self._row = math.prod(shape[1:]) * dtype.itemsize
        self._stream: IO[bytes] | None = None
        self._next = 0
        self._passed: dict[tuple[int, int], NDArray[Any]] = {}
        self._lock = threading.Lock()

    def read(self, start: int, count: int) -> NDArray[Any]:
        """As StoredArray's."""
        count = min(count, self._shape[0] - start)
        with self._lock:
            if (start, count) in self._passed:
                return self._passed.pop((start, count))
            if self._stream is None or start < self._next:
                self._rewind()
            self._skip(start - self._next - _MOST_PASSED * count)
            while self._next + count <= start:  # other threads will ask for these
                place = (self._next, count)
                self._passed[place] = self._rows(count)
            self._skip(start - self._next)
            return self._rows(count)

    def _rewind(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._passed.clear()
        self._stream = zipfile.ZipFile(self._path).open(self._member)
        _header(self._stream)
        self._next = 0

    def _rows(self, count: int) -> NDArray[Any]:
        assert self._stream is not None
        content = self._stream.read(count * self._row)
        if len(content) != count * self._row:
            raise DataError(f"'{self._path}' is damaged in {self._member}; save it again")
        self._next += count
        return np.frombuffer(content, self._dtype).reshape(count, *self._shape[1:])

    def _skip(self, rows: int) -> None:
        for _ in range(rows):
            self._rows(1)
