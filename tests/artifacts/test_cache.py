"""A cache that is never needed: damaged, full or read-only it only means that results are computed again."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from calibrant.artifacts.cache import Cache


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def aged(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def test_what_is_kept_is_found_under_its_kind_and_key(tmp_path: Path) -> None:
    Cache(tmp_path).write("a", "key", b"content")
    later = Cache(tmp_path)
    assert later.read("a", "key") == b"content"
    assert later.read("b", "key") is None
    assert later.read("a", "other") is None


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 39])
def test_a_damaged_entry_is_removed(tmp_path: Path, damage: bytes) -> None:
    cache = Cache(tmp_path)
    cache.write("a", "key", b"content")
    (entry,) = entries(tmp_path)
    entry.write_bytes(damage)
    assert cache.read("a", "key") is None
    assert not entries(tmp_path)
    cache.write("a", "key", b"again")
    assert cache.read("a", "key") == b"again"


def test_beyond_the_limit_what_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=1000)
    for name in "abc":
        cache.write("kind", name, name.encode() * 200)
        aged(entries(tmp_path / "kind")[-1], 0)
    for path in entries(tmp_path):
        aged(path, 100)
    assert cache.read("kind", "a") is not None  # used again, so that it is the newest
    for name in "de":
        cache.write("kind", name, name.encode() * 200)
    assert cache.read("kind", "a") == b"a" * 200
    assert cache.read("kind", "e") == b"e" * 200
    assert sum(path.stat().st_size for path in entries(tmp_path)) <= 1000


def test_another_process_fills_the_same_folder(tmp_path: Path) -> None:
    first, second = Cache(tmp_path, limit=1000), Cache(tmp_path, limit=1000)
    first.write("kind", "0", b"0")
    for number in range(20):
        second.write("kind", str(number), bytes(100))
    first.write("kind", "last", bytes(100))
    second.write("kind", "one more", bytes(100))
    assert sum(path.stat().st_size for path in entries(tmp_path)) <= 1000 + 132


def test_an_entry_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=1000)
    cache.write("a", "small", b"1")
    cache.write("a", "large", bytes(1000))
    assert cache.read("a", "small") == b"1"
    assert cache.read("a", "large") is None


def test_a_folder_that_cannot_be_written_to_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    notes: list[str] = []
    cache = Cache(tmp_path / "file" / "folder", note=notes.append)
    cache.write("a", "key", b"1")
    cache.write("a", "other", b"1")
    assert cache.read("a", "key") is None
    (note,) = notes
    assert note.startswith("nothing is cached: ")
    assert "CALIBRANT_CACHE" in note


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, target: Path) -> Path:
        assert path.exists()
        assert not target.exists()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    notes: list[str] = []
    Cache(tmp_path, note=notes.append).write("a", "key", b"content")
    assert not entries(tmp_path)
    assert "No space left on device" in notes[0]


def test_writers_beside_each_other_leave_one_whole_entry(tmp_path: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: Cache(tmp_path).write("a", "key", content), contents))
    assert Cache(tmp_path).read("a", "key") in contents
    assert len(entries(tmp_path)) == 1
