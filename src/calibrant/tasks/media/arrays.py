"""Arrays in files, one sample at a time: a file may unpack to more than there is memory.

``.npy`` files and what lies uncompressed in a ``.npz`` are mapped into memory. What is compressed is read
as a stream, from the beginning again where somebody goes back.
"""

from __future__ import annotations

import math
import struct
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import DataError
from calibrant.core.npy import NpyHeader, read_header
from calibrant.core.reading import opened, require_regular

_LARGEST_FILE = 2**44
_LOCAL_HEADER = struct.Struct("<26xHH")
_MOST_PASSED = 64


@dataclass(frozen=True, eq=False)
class StoredArray:
    """An array in a file, to be read in parts along its first axis; it can be sent to other processes."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    reader: Callable[[int, int], NDArray[Any]]

    def read(self, start: int, count: int) -> NDArray[Any]:
        """Rows from ``start`` on, (count, ...), fewer at the end. Raises DataError for a damaged file."""
        return self.reader(start, count)

    def as_one(self) -> StoredArray:
        """The whole array as the only row of another one."""
        return StoredArray(self.name, (1, *self.shape), self.dtype, partial(_whole, self))


def _whole(array: StoredArray, start: int, count: int) -> NDArray[Any]:  # noqa: ARG001
    return array.read(0, array.shape[0] if array.shape else 1)[np.newaxis]


def stored_arrays(path: Path) -> dict[str, StoredArray]:
    """The arrays of a ``.npy`` or ``.npz`` file by name, ``.npy``: by the file's; nothing is read yet.

    Raises DataError for a file that is missing, no regular one, damaged, or holds Python objects.
    """
    try:
        require_regular(path, _LARGEST_FILE)
        if not zipfile.is_zipfile(path):
            with opened(path, _LARGEST_FILE) as stream:
                return {path.name: _mapped(path, path.name, read_header(stream), stream.tell())}
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


def _mapped(path: Path, name: str, header: NpyHeader, offset: int) -> StoredArray:
    if path.stat().st_size < offset + header.n_bytes:
        raise ValueError("it is cut off")
    return StoredArray(name, header.shape, header.dtype, _Map(path, header, offset))


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> StoredArray:
    with archive.open(info) as stream:
        header = read_header(stream)
        offset = stream.tell()
    if info.file_size != offset + header.n_bytes:
        raise ValueError(f"{info.filename} is cut off")
    name = info.filename.removesuffix(".npy")
    if info.compress_type == zipfile.ZIP_STORED:
        return _mapped(path, name, header, _begin_of(path, info) + offset)
    if header.in_columns:
        raise ValueError(f"{info.filename} is in Fortran's order; save numpy.ascontiguousarray of it")
    stream_of = _Stream(path, info.filename, header.shape, header.dtype)
    return StoredArray(name, header.shape, header.dtype, stream_of)


def _begin_of(path: Path, info: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: its local header has a name and extra fields of its own lengths."""
    with opened(path, _LARGEST_FILE) as stream:
        stream.seek(info.header_offset)
        lengths: tuple[int, int] = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
    return info.header_offset + _LOCAL_HEADER.size + sum(lengths)


@dataclass(frozen=True)
class _Map:
    """An array that lies in a file as it is. Every part is a map of its own: no page of it stays."""

    path: Path
    header: NpyHeader
    offset: int

    def __call__(self, start: int, count: int) -> NDArray[Any]:
        """As StoredArray's."""
        shape, dtype = self.header.shape, self.header.dtype
        if math.prod(shape) == 0 or not shape:
            return np.fromfile(self.path, dtype, math.prod(shape), offset=self.offset).reshape(shape)[
                ... if not shape else slice(start, start + count)
            ]
        order: Any = "F" if self.header.in_columns else "C"
        part = np.memmap(self.path, dtype, "r", self.offset, shape, order)[start : start + count]
        return np.require(part, requirements="A")  # within a .npz anything may lie at an odd byte


class _Stream:
    """A compressed array, read in order; several threads may ask, a little out of order."""

    def __init__(self, path: Path, member: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._path, self._member, self._shape, self._dtype = path, member, shape, dtype
        self._row = math.prod(shape[1:]) * dtype.itemsize
        self._stream: IO[bytes] | None = None
        self._next = 0
        self._passed: dict[tuple[int, int], NDArray[Any]] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Another process opens the file anew."""
        return {**self.__dict__, "_stream": None, "_passed": {}, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """With a lock of this process."""
        self.__dict__.update(state, _lock=threading.Lock())

    def __call__(self, start: int, count: int) -> NDArray[Any]:
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
        self._stream = zipfile.ZipFile(self._path).open(self._member)  # noqa: SIM115 (stays open)
        read_header(self._stream)
        self._next = 0

    def _rows(self, count: int) -> NDArray[Any]:
        assert self._stream is not None
        try:
            content = self._stream.read(count * self._row)
        except Exception as error:  # whatever zipfile and zlib say to bytes that are not theirs
            raise DataError(
                f"'{self._path}' is damaged in {self._member} ({error}); save it again"
            ) from error
        if len(content) != count * self._row:
            raise DataError(f"'{self._path}' is damaged in {self._member}; save it again")
        self._next += count
        return np.frombuffer(content, self._dtype).reshape(count, *self._shape[1:])

    def _skip(self, rows: int) -> None:
        for _ in range(rows):
            self._rows(1)
