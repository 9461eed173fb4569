"""Only regular files of a bounded size are read: nothing is waited for, and memory is not filled."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core import reading
from calibrant.core.reading import (
    UnfitFileError,
    is_regular,
    mentions,
    opened,
    read_bytes,
    read_text,
    sha256_of,
)

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_file_is_read_whole_and_through_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"a\r\nb\xe2\x82\xac")
    link.symlink_to(file)
    assert read_bytes(file) == read_bytes(link) == b"a\r\nb\xe2\x82\xac"
    assert read_text(link) == "a\nb€"
    assert sha256_of(link) == hashlib.sha256(file.read_bytes()).hexdigest()


@POSIX
@pytest.mark.parametrize("read", [opened, read_bytes, read_text, sha256_of])
def test_a_pipe_is_refused_and_not_waited_for(read: object, pipe: Path) -> None:
    link = pipe.with_name("link")
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(UnfitFileError, match="named pipe") as refusal:
            read(path)  # type: ignore[operator]
        assert refusal.value.strerror == "it is a named pipe, not a file"
        assert not is_regular(path)


@POSIX
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/tty", "/dev/random"])
def test_a_device_is_refused(device: str, tmp_path: Path) -> None:
    link = tmp_path / "labels.json"
    link.symlink_to(device)
    with pytest.raises(UnfitFileError, match="device"):
        read_bytes(link)


@POSIX
def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(UnfitFileError, match="socket"):
            read_bytes(Path("socket"))


def test_a_folder_and_a_name_that_no_system_takes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnfitFileError, match="folder"):
        read_bytes(tmp_path)
    with pytest.raises(UnfitFileError, match="NUL"):
        read_bytes(tmp_path / "a\0b")
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "absent")


def test_a_sparse_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(2**40)
    for read in (opened, read_bytes, read_text, sha256_of):
        with pytest.raises(UnfitFileError, match="1099511627776 bytes"):
            read(tmp_path / "sparse")


def test_the_limit_is_the_readers(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(11))
    assert len(read_bytes(tmp_path / "file", 11)) == 11
    with pytest.raises(UnfitFileError, match="11 bytes, and at most 10"):
        read_bytes(tmp_path / "file", 10)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux's own files")
def test_files_that_the_system_makes_while_they_are_read_are_bounded_too() -> None:
    assert read_text(Path("/proc/self/status")).startswith("Name:")
    with pytest.raises(UnfitFileError, match="at most 10"):
        read_bytes(Path("/proc/self/status"), 10)


@given(st.integers(0, 40), st.booleans())
def test_words_are_found_wherever_they_stand(before: int, is_there: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_CHUNK", 8)
        path = Path(folder) / "file"
        path.write_bytes(b"." * before + (b"words" if is_there else b"word") + b"!" * 11)
        assert mentions(path, b"words") == is_there
