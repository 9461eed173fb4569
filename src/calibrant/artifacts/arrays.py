"""Named arrays in one compressed .npz file, never with pickled objects in it."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.artifacts.store import write_bytes
from calibrant.core.errors import DataError
from calibrant.core.npy import read_array
from calibrant.core.reading import read_bytes

LARGEST = 2 * 2**30
"""Bytes that a file may have when it is unpacked: zeros shrink to a thousandth."""

# zlib's fastest: a quarter of its usual level's time, for 3 (predictions) to 13 % (statistics) more bytes.
_LEVEL = 1

# What numpy, zipfile and zlib say of bytes that are not theirs.
_DAMAGES = (
    OSError, EOFError, TypeError, LookupError, AttributeError, NotImplementedError, MemoryError, RuntimeError,
    SyntaxError, OverflowError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays by name atomically. Raises OutputError."""
    write_bytes(path, packed(arrays))


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read what :func:`write_arrays` wrote. Raises DataError when the file is missing or damaged."""
    try:
        return unpacked(read_bytes(path, LARGEST))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}; run the study again") from error


def packed(arrays: Mapping[str, NDArray[Any]], *, is_small: bool = True) -> bytes:
    """Arrays by name as the bytes of an .npz file, compressed where it is to be small and not quick."""
    content = io.BytesIO()
    how = zipfile.ZIP_DEFLATED if is_small else zipfile.ZIP_STORED
    # numpy's savez_compressed takes zlib's usual level.
    with zipfile.ZipFile(content, "w", how, compresslevel=_LEVEL) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    return content.getvalue()


def unpacked(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays that :func:`packed` was given. Raises ValueError for anything else."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > LARGEST:
                raise ValueError(f"{size} bytes when unpacked, and the limit is {LARGEST}")
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
    except _DAMAGES as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as stream:
        return read_array(stream)
