"""Damage to a run's files is noticed and named."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from calibrant.artifacts.checksums import (
    CHECKSUMS,
    damaged_files,
    read_checksums,
    require_sound,
    write_checksums,
)
from calibrant.core.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "evidence").mkdir()
    for name in ("a.onnx", "evidence/b.npz", "ü c.cache"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    write_checksums(tmp_path, ["a.onnx", "evidence/b.npz", "ü c.cache"], {"study.json": b"{}"})
    (tmp_path / "study.json").write_bytes(b"{}")
    return tmp_path


def test_what_was_written_is_sound(folder: Path) -> None:
    assert damaged_files(folder) == ()
    assert len(read_checksums(folder)) == 4


def test_a_flipped_bit_a_missing_and_a_shorter_file_are_named(folder: Path) -> None:
    content = bytearray((folder / "a.onnx").read_bytes())
    content[7] ^= 1
    (folder / "a.onnx").write_bytes(content)
    (folder / "evidence/b.npz").unlink()
    (folder / "study.json").write_bytes(b"{")
    assert damaged_files(folder) == ("a.onnx", "evidence/b.npz", "study.json")
    with pytest.raises(DataError, match=r"a\.onnx is damaged.*calibrant resume"):
        require_sound(folder, "a.onnx", read_checksums(folder))


def test_damaged_checksums_are_damage(folder: Path) -> None:
    (folder / CHECKSUMS).write_text("no sums\n")
    assert damaged_files(folder) == (CHECKSUMS,)
    with pytest.raises(DataError, match="is damaged"):
        read_checksums(folder)


def test_a_folder_without_checksums_is_an_older_one(tmp_path: Path) -> None:
    assert read_checksums(tmp_path) == {}
    assert damaged_files(tmp_path) == ()
    assert require_sound(tmp_path, "x", {}) == tmp_path / "x"


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_reads_them(folder: Path) -> None:
    command = ["sha256sum", "--check", "--strict", "--quiet", CHECKSUMS]
    assert subprocess.run(command, cwd=folder, check=False).returncode == 0
    (folder / "a.onnx").write_bytes(b"")
    assert subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode == 1
