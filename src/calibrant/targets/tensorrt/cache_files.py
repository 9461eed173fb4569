"""Cache files from anywhere: read up to a limit, as text or as JSON, and written whole or not at all."""

from __future__ import annotations

import errno
import json
from pathlib import Path

from calibrant.artifacts.store import write_bytes, write_json
from calibrant.core.errors import DataError
from calibrant.core.reading import read_bytes
from calibrant.targets.tensorrt.cache import TensorRTCache, dumps, loads, not_a_cache
from calibrant.targets.tensorrt.cache_json import from_json, to_json

# The largest caches in use are about a megabyte: a hundred bytes for each of ten thousand tensors.
LARGEST_FILE = 64 * 1024 * 1024


def read_cache(path: Path, any_scale: bool = False) -> TensorRTCache:
    """Read a TensorRT calibration cache, ``any_scale``: also with scales that are no finite positive numbers.

    Raises DataError, also where it is missing, binary or too large.
    """
    return parsed_cache(_bytes_of(path), path.name, any_scale)


def parsed_cache(content: bytes, source: str = "the cache", any_scale: bool = False) -> TensorRTCache:
    """A cache from a file's bytes. Raises DataError."""
    try:
        return loads(content.decode("utf-8"), source, any_scale)
    except UnicodeDecodeError as error:
        if not content.startswith((b"TRT-", b"0 ")):
            raise not_a_cache(source, content[:40].decode("latin-1")) from error
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{source}, line {line}: is no UTF-8 text: the file is damaged; copy it again"
        ) from error


def write_cache(cache: TensorRTCache, path: Path) -> None:
    """Write a cache as TensorRT does. Raises OutputError."""
    write_bytes(path, dumps(cache).encode("utf-8"))


def read_cache_json(path: Path) -> TensorRTCache:
    """Read what ``write_cache_json`` wrote. Raises DataError."""
    return parsed_cache_json(_bytes_of(path), path.name)


def parsed_cache_json(content: bytes, source: str = "the JSON") -> TensorRTCache:
    """A cache from the bytes of a JSON file. Raises DataError."""
    try:
        described = json.loads(content, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{source} is not valid JSON: {str(error)[:120]}; mend it or make it again"
        ) from error
    return from_json(described, source)


def write_cache_json(cache: TensorRTCache, path: Path) -> None:
    """Write a cache as JSON. Raises OutputError."""
    write_json(path, to_json(cache))


def _bytes_of(path: Path) -> bytes:
    try:
        return read_bytes(path, LARGEST_FILE)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise DataError(
                f"{path.name} is larger than {LARGEST_FILE >> 20} MB, which no TensorRT calibration cache "
                "is; give the file that TensorRT wrote"
            ) from error
        raise DataError(
            f"cannot read {path}: {error.strerror}; give a file that exists and is readable"
        ) from error


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content: dict[str, object] = {}
    for name, value in pairs:
        if name in content:
            raise ValueError(f"{name[:60]!r} appears twice in one object")
        content[name] = value
    return content
