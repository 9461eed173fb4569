"""Limits are read as the kernel writes them; the tightest of a group and those above it counts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from calibrant.core.machine import memory_limit, resident_bytes, return_freed_memory, usable_cores

GIB = 2**30


@pytest.fixture
def root(tmp_path: Path) -> Path:
    written(tmp_path / "proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\n")
    written(tmp_path / "proc/self/cgroup", "0::/box/inner\n")
    return tmp_path


def written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_cgroups_the_machines_memory_counts(root: Path) -> None:
    assert memory_limit(root) == 16 * GIB


def test_the_tightest_group_above_counts(root: Path) -> None:
    written(root / "sys/fs/cgroup/box/inner/memory.max", "max\n")
    written(root / "sys/fs/cgroup/box/memory.max", f"{3 * GIB}\n")
    assert memory_limit(root) == 3 * GIB
    written(root / "sys/fs/cgroup/box/inner/memory.max", f"{2 * GIB}\n")
    assert memory_limit(root) == 2 * GIB


def test_the_first_version_of_cgroups_is_read_too(root: Path) -> None:
    written(root / "proc/self/cgroup", "4:memory:/box\n5:cpu,cpuacct:/box\n")
    written(root / "sys/fs/cgroup/memory/box/memory.limit_in_bytes", f"{GIB}\n")
    written(root / "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "100000\n")
    assert memory_limit(root) == GIB
    assert usable_cores(root) == 1


def test_a_quota_cuts_the_cores(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert usable_cores(root) == 8
    written(root / "sys/fs/cgroup/box/cpu.max", "250000 100000\n")
    assert usable_cores(root) == 3
    written(root / "sys/fs/cgroup/box/inner/cpu.max", "max 100000\n")
    assert usable_cores(root) == 3


def test_where_nothing_tells_nothing_is_claimed(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) is None
    assert usable_cores(tmp_path) >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="what is kept is glibc's")
def test_what_was_freed_is_returned() -> None:
    pieces = [bytearray(10_000) for _ in range(10_000)]
    last = pieces[-1]  # which keeps the heap from shrinking by itself
    before = resident_bytes()
    del pieces
    return_freed_memory()
    assert before - resident_bytes() > 80_000_000
    assert len(last) == 10_000
