"""What this process may use of the machine, memory and cores, as the kernel and its cgroups allow; and uses.

Source: Linux' cgroup v2 (memory.max, cpu.max, in the process' group and all above it) and v1
(memory.limit_in_bytes, cpu.cfs_quota_us).
"""

from __future__ import annotations

import ctypes
import gc
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from calibrant.core.reading import read_text

_ROOT = Path("/")
_KIB = 1024


def memory_limit(root: Path = _ROOT) -> int | None:
    """Bytes: the least of the machine's memory and the limits of its cgroups; None where nothing tells."""
    limits = [*_memory_of_machine(root), *_limits(root, "memory", ("memory.max", "memory.limit_in_bytes"))]
    return min(limits, default=None)


def usable_cores(root: Path = _ROOT) -> int:
    """Cores that the process may run on at once: its affinity, cut by the quotas of its cgroups."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [
        *(_share(text.split()) for text in _texts(root, "cpu", "cpu.max")),
        *(_share([text, "100000"]) for text in _texts(root, "cpu", "cpu.cfs_quota_us")),
    ]
    return max(1, min([allowed, *(math.ceil(quota) for quota in quotas if quota is not None)]))


def return_freed_memory() -> None:
    """Give the system what was freed but is kept for later: by cycles of garbage, and by glibc's malloc."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none, and needs none
        if trim is not None:
            trim(0)


def _memory_of_machine(root: Path) -> Iterator[int]:
    meminfo = root / "proc/meminfo"
    if meminfo.exists():
        for line in read_text(meminfo).splitlines():
            if line.startswith("MemTotal:"):
                yield int(line.split()[1]) * _KIB
    elif root == _ROOT and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _limits(root: Path, controller: str, names: tuple[str, ...]) -> Iterator[int]:
    for name in names:
        yield from (int(text) for text in _texts(root, controller, name) if text.isdigit())


def _share(words: list[str]) -> float | None:
    """Cores that a quota stands for: microseconds a period; None for none ("max", or -1)."""
    if len(words) != 2 or not words[0].isdigit() or int(words[1]) <= 0:
        return None
    return int(words[0]) / int(words[1])


def _texts(root: Path, controller: str, name: str) -> Iterator[str]:
    """What a file says in the process' cgroup of a controller and in every group above it."""
    for group in _groups(root, controller):
        while True:
            file = group / name
            if file.is_file():
                yield read_text(file).strip()
            if group == root / "sys/fs/cgroup" or group == group.parent:
                break
            group = group.parent


def _groups(root: Path, controller: str) -> list[Path]:
    """Where the process' cgroup is: under the unified hierarchy, and under the controller's own."""
    hierarchy, memberships = root / "sys/fs/cgroup", root / "proc/self/cgroup"
    if not memberships.exists():
        return []
    groups = []
    for line in read_text(memberships).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            groups.append(hierarchy / path.lstrip("/"))
        elif controller in controllers.split(","):
            groups.append(hierarchy / controller / path.lstrip("/"))
    return groups


def resident_bytes(root: Path = _ROOT) -> int:
    """Bytes that this process has in memory now; where the system does not tell, the most it had."""
    statm = root / "proc/self/statm"
    if statm.exists():
        return int(read_text(statm).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else _KIB)
