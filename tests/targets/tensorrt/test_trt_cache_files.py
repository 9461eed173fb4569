"""Cache files that are binary, cut, huge or odd: one line of error each."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.errors import DataError, OutputError
from calibrant.targets.tensorrt.cache import TensorRTCache, dumps
from calibrant.targets.tensorrt.cache_files import (
    LARGEST_FILE,
    parsed_cache,
    parsed_cache_json,
    read_cache,
    read_cache_json,
    write_cache,
    write_cache_json,
)

HEADER = "TRT-8501-EntropyCalibration2"
START = HEADER.encode() + b"\n"
CACHE = TensorRTCache(HEADER, {"images": 0.5, "größe: 画像": 0.25, "empty": 0.0})


def test_both_kinds_of_file_come_back(tmp_path: Path) -> None:
    write_cache(CACHE, tmp_path / "a.cache")
    write_cache_json(CACHE, tmp_path / "a.json")
    assert read_cache(tmp_path / "a.cache") == read_cache_json(tmp_path / "a.json") == CACHE
    assert (tmp_path / "a.cache").read_bytes() == dumps(CACHE).encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no TensorRT calibration cache: it begins with ''"),
        (b"ftrt\x00\x01\xff\xfe", "is no TensorRT calibration cache"),
        (b"\x89PNG\r\n\x1a\n", "is no TensorRT calibration cache"),
        (START + b"x: 1\n\xff\xfe: 2\n", "line 3: is no UTF-8 text"),
        (START + b"x" * 1_000_000, "ends inside a line"),
        (START + b"x" * 1_000_000 + b"\n", "line 2: 'xxx"),
        (START + b"\x00: 1\n" * 2, "line 3: '\\\\x00' appears twice"),
    ],
)
def test_damage_is_told_in_one_short_line(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.cache").write_bytes(content)
    with pytest.raises(DataError, match=words) as refusal:
        read_cache(tmp_path / "a.cache")
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).startswith("a.cache")
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("read", [read_cache, read_cache_json])
def test_a_huge_file_is_refused_without_reading_it(
    tmp_path: Path, read: Callable[[Path], TensorRTCache]
) -> None:
    path = tmp_path / "huge.cache"
    with path.open("wb") as file:
        file.write(START)
        file.truncate(1 << 30)  # sparse: no disk is used
    tracemalloc.start()
    with pytest.raises(DataError, match=r"huge\.cache is larger than 64 MB"):
        read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.5 * LARGEST_FILE


@pytest.mark.parametrize("read", [read_cache, read_cache_json])
def test_what_is_no_file_is_told(tmp_path: Path, read: Callable[[Path], TensorRTCache]) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match="cannot read"):
            read(path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_cache(CACHE, tmp_path / "file" / "a.cache")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"a": 1, "a": 2}',
        b"null",
        b"9" * 10_000,
        b'{"x": "\\ud800"}',
    ],
)
def test_broken_json_is_told_in_one_line(content: bytes) -> None:
    with pytest.raises(DataError) as refusal:
        parsed_cache_json(content, "a.json")
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).startswith("a.json")


def test_a_tensor_that_json_names_twice_is_refused() -> None:
    with pytest.raises(DataError, match="'x' appears twice"):
        parsed_cache_json(b'{"tensors": {"x": {"hex": "1"}, "x": {"hex": "2"}}}')


# Lines that come close to the format: random bytes seldom get past the header.
pieces = st.sampled_from([
    b": ", b"\n", b"\r\n", b"\r", b"x", b"3c010a14", b"0", b"7f800000", b"\x00", b"\xc3\xa9", b"\xff",
    HEADER.encode(), b"0 3ff0000000000000 3fefff2e48e8a71e",
])  # fmt: skip


@given(st.one_of(st.binary(), st.lists(pieces, max_size=30).map(b"".join)))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for candidate in (content, START + content):
        with suppress(DataError):
            cache = parsed_cache(candidate)
            assert parsed_cache(dumps(cache).encode()) == cache


@given(st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(
        ["format", "version", "header", "tensors", "x", "scale", "hex", "threshold"]), inner),
))  # fmt: skip
def test_any_json_is_read_or_refused(content: object) -> None:
    described = {
        "format": "calibrant.tensorrt-cache",
        "version": 1,
        "header": HEADER,
        "tensors": {"x": content},
    }
    for candidate in (content, described):
        with suppress(DataError):
            dumps(parsed_cache_json(json.dumps(candidate).encode()))
