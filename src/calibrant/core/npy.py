"""Headers of ``.npy`` files, read without Python's parser.

numpy reads them with ``ast.literal_eval``, which fails now and then where several threads parse at once
(SystemError, CPython issue 106905, in 3.11); and a file that somebody sent is no Python.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"\x93NUMPY"
_LENGTHS = {(1, 0): "<H", (2, 0): "<I", (3, 0): "<I"}
_LONGEST = 10_000
"""Bytes of a header: numpy's own limit."""

_ITEM = r"'(descr|fortran_order|shape)'\s*:\s*('[^']*'|True|False|\([\d,\sL]*\))\s*"
_HEADER = re.compile(rf"\{{\s*{_ITEM},\s*{_ITEM},\s*{_ITEM},?\s*\}}\s*")
_TYPE = re.compile(r"'[<>|=]?[?a-zA-Z]\d*(\[\w+\])?'")


@dataclass(frozen=True)
class NpyHeader:
    """What the first bytes of a ``.npy`` file say of the array that follows."""

    shape: tuple[int, ...]
    in_columns: bool
    dtype: np.dtype[Any]

    @property
    def n_bytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes]) -> NpyHeader:
    """The header of a ``.npy`` file, the stream behind it. Raises ValueError, also for Python objects."""
    if _exactly(stream, 6) != _MAGIC:
        raise ValueError("it does not begin as a .npy file does")
    version = (_exactly(stream, 1)[0], _exactly(stream, 1)[0])
    if version not in _LENGTHS:
        raise ValueError(f"its version is {version[0]}.{version[1]}, and 1.0 to 3.0 are known")
    length = _LENGTHS[version]
    n_bytes = struct.unpack(length, _exactly(stream, struct.calcsize(length)))[0]
    if n_bytes > _LONGEST:
        raise ValueError(f"its header has {n_bytes} bytes, and {_LONGEST} is the limit")
    return _parsed(_exactly(stream, n_bytes).decode("utf-8" if version == (3, 0) else "latin-1"))


def read_array(stream: IO[bytes]) -> NDArray[Any]:
    """The array of a ``.npy`` file. Raises ValueError."""
    header = read_header(stream)
    values = bytearray(_exactly(stream, header.n_bytes))
    return np.ndarray(header.shape, header.dtype, values, order="F" if header.in_columns else "C")


def _exactly(stream: IO[bytes], n_bytes: int) -> bytes:
    content = stream.read(n_bytes)
    if len(content) != n_bytes:
        raise ValueError("it is cut off")
    return content


def _parsed(text: str) -> NpyHeader:
    if "[(" in text:
        raise ValueError("its values have several fields each")
    found = _HEADER.fullmatch(text)
    if found is None:
        raise ValueError("its header is not that of an array")
    parts = found.groups()
    values = dict(zip(parts[::2], parts[1::2], strict=True))
    if len(values) != 3 or values["fortran_order"] not in ("True", "False"):
        raise ValueError("its header is not that of an array")
    shape = tuple(int(number) for number in re.findall(r"\d+", values["shape"]))
    return NpyHeader(shape, values["fortran_order"] == "True" and len(shape) > 1, _dtype(values["descr"]))


def _dtype(text: str) -> np.dtype[Any]:
    if not _TYPE.fullmatch(text):
        raise ValueError(f"numpy has no type {text}")
    try:
        dtype = np.dtype(text.strip("'"))
    except TypeError:
        raise ValueError(f"numpy has no type {text}") from None
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return dtype
