"""Tensors in safetensors files: found by their headers, read one at a time, every byte counted.

The format: 8 bytes little-endian, the length of a JSON header, the header, the values. Source:
https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.reading import opened
from calibrant.core.types import FloatArray

DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "I16": np.dtype(np.int16),
    "U16": np.dtype(np.uint16),
    "I32": np.dtype(np.int32),
    "U32": np.dtype(np.uint32),
    "I64": np.dtype(np.int64),
    "U64": np.dtype(np.uint64),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F8_E8M0": np.dtype(ml_dtypes.float8_e8m0fnu),
}
NAMES: Mapping[np.dtype[Any], str] = {dtype: name for name, dtype in DTYPES.items()}
_LONGEST_HEADER = 100 * 2**20
_LARGEST_RANK = 8
_CHUNK = 2**30
_ALIGNED = 8

LARGEST_SHARD = 2**40
"""Bytes of a file of weights."""


@dataclass(frozen=True)
class BlockType:
    """ggml's blocks: how many values share a scale, and the bytes that they take with it."""

    values: int
    bytes: int


BLOCK_TYPES: Mapping[str, BlockType] = {
    "Q4_0": BlockType(32, 18),
    "Q4_1": BlockType(32, 20),
    "Q8_0": BlockType(32, 34),
}


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor's values lie: ``start`` and ``stop`` are bytes from the beginning of ``file``.

    interleaved_heads: of how many heads llama.cpp has interleaved the rows; None: they are as in
    transformers.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    stop: int
    interleaved_heads: int | None = None

    @property
    def bytes(self) -> int:
        """Its size in the file."""
        return self.stop - self.start

    @property
    def size(self) -> int:
        """How many values it has."""
        return prod(self.shape)


class TensorReader:
    """Reads tensors by name and counts the bytes that it took from the files."""

    def __init__(self, tensors: Mapping[str, StoredTensor]) -> None:
        self.tensors = tensors
        self.bytes_read = 0

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def raw(self, name: str, rows: slice | None = None) -> NDArray[Any]:
        """A tensor's values in the type that the file holds; ``rows``: only these of its first axis.

        Raises ModelError where the file has become shorter than its header says.
        """
        stored = self.tensors[name]
        start, stop, shape = stored.start, stored.stop, stored.shape
        if rows is not None:
            first, last, _ = rows.indices(shape[0])
            row = stored.bytes // max(1, shape[0])
            start, stop, shape = start + first * row, start + last * row, (last - first, *shape[1:])
        content = np.empty(stop - start, np.uint8)
        try:
            with opened(stored.file, LARGEST_SHARD) as file:
                file.seek(start)
                _fill(file, content)
        except (OSError, EOFError) as error:
            raise ModelError(
                f"cannot read {name!r} from {stored.file}: {error}; get the file again"
            ) from error
        self.bytes_read += len(content)
        if stored.dtype in BLOCK_TYPES:
            return content.reshape(*shape[:-1], -1)
        return content.view(DTYPES[stored.dtype]).reshape(shape)

    def values(self, name: str, rows: slice | None = None) -> FloatArray:
        """A tensor's values as float32. Raises ModelError where one is NaN or infinite."""
        stored = self.tensors[name]
        raw = self.raw(name, rows)
        found = values_of_blocks(raw, stored.dtype) if stored.dtype in BLOCK_TYPES else raw.astype(np.float32)
        if stored.interleaved_heads is not None and rows is None:
            found = _in_halves(found, stored.interleaved_heads)
        if not np.isfinite(found.sum(dtype=np.float64)) and not np.isfinite(found).all():
            count = int((~np.isfinite(found)).sum())
            raise ModelError(
                f"{name!r} in {self.tensors[name].file} holds {count} values that are NaN or infinite; "
                "get a sound copy of the model"
            )
        return found


def values_of_blocks(raw: NDArray[np.uint8], dtype: str) -> FloatArray:
    """Values of ggml's blocks, float32. raw: ... x bytes of a row."""
    block = BLOCK_TYPES[dtype]
    blocks = raw.reshape(-1, block.bytes)
    scale = np.ascontiguousarray(blocks[:, :2]).view(np.float16).astype(np.float32)
    if dtype == "Q8_0":
        values = np.ascontiguousarray(blocks[:, 2:]).view(np.int8).astype(np.float32) * scale
    else:
        packed = blocks[:, -block.values // 2 :]
        codes = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32)
        if dtype == "Q4_0":
            values = (codes - 8) * scale
        else:
            values = codes * scale + np.ascontiguousarray(blocks[:, 2:4]).view(np.float16).astype(np.float32)
    return np.asarray(values.reshape(*raw.shape[:-1], -1), np.float32)


def _in_halves(rows: FloatArray, heads: int) -> FloatArray:
    """Rows of queries or keys as transformers has them, from halves of a head in turn."""
    split = rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:])
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(rows.shape))


def _fill(file: BufferedReader, content: NDArray[np.uint8]) -> None:
    view, done = memoryview(content.data), 0
    while done < len(view):
        step = file.raw.readinto(view[done : done + _CHUNK])
        if not step:
            raise EOFError(f"{len(view) - done} bytes are missing")
        done += step


def header_of(file: Path) -> dict[str, StoredTensor]:
    """The tensors that one safetensors file holds, from its header alone.

    Raises ModelError in one line for a file that is damaged, cut off or something else.
    """
    try:
        with opened(file, LARGEST_SHARD) as stream:
            size = os.fstat(stream.fileno()).st_size
            length = struct.unpack("<Q", stream.read(8))[0]
            if length > min(_LONGEST_HEADER, size - 8):
                raise ValueError(f"a header of {length} bytes in a file of {size}")
            header = json.loads(stream.read(length))
        if not isinstance(header, dict):
            raise ValueError("its header is no JSON object")
        tensors = {tensor.name: tensor for tensor in _tensors(header, file, 8 + length, size)}
        _require_apart(tensors.values())
        return tensors
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, struct.error, RecursionError) as error:
        raise ModelError(f"{file} is no whole safetensors file: {error}; get it again") from error


def _tensors(header: Mapping[str, Any], file: Path, begin: int, size: int) -> Iterator[StoredTensor]:
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        dtype, shape, (start, stop) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        if dtype not in DTYPES:
            raise ValueError(f"{name!r} is of the unknown type {dtype!r}")
        numbers = (*shape, start, stop)
        if any(type(n) is not int or n < 0 for n in numbers) or len(shape) > _LARGEST_RANK:
            raise ValueError(f"{name!r} has the shape {shape} at {start} to {stop}")
        if stop - start != prod(shape) * DTYPES[dtype].itemsize:
            raise ValueError(f"{name!r} of shape {shape} has {stop - start} bytes")
        if begin + stop > size:
            raise ValueError(f"{name!r} ends {begin + stop - size} bytes behind the file's end")
        yield StoredTensor(name, dtype, shape, file, begin + start, begin + stop)


def _require_apart(tensors: Iterable[StoredTensor]) -> None:
    """No byte belongs to two tensors, as the format demands."""
    filled = sorted((tensor for tensor in tensors if tensor.start < tensor.stop), key=lambda one: one.start)
    for before, after in pairwise(filled):
        if after.start < before.stop:
            raise ValueError(f"{before.name!r} and {after.name!r} share bytes")


def tensors_bytes(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """A safetensors file of these arrays."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, values in tensors.items():
        stop = start + values.nbytes
        header[name] = {
            "dtype": NAMES[values.dtype],
            "shape": list(values.shape),
            "data_offsets": [start, stop],
        }
        start = stop
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % _ALIGNED)
    contents = (np.ascontiguousarray(values).tobytes() for values in tensors.values())
    return b"".join((struct.pack("<Q", len(encoded)), encoded, *contents))
