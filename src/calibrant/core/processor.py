"""What the processor is and can do, as the operating system tells it."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

from calibrant.core.reading import read_text

_CPUINFO = Path("/proc/cpuinfo")
# ARM says "Features" where x86 says "flags".
_FLAG_LINES = ("flags", "Features")
_VNNI = frozenset({"avx512_vnni", "avx_vnni"})
_X86 = frozenset({"x86_64", "amd64", "i386", "i686"})


def processor_name(cpuinfo: Path = _CPUINFO) -> str:
    """The processor's model name, where the system tells it."""
    for key, value in _lines_of(cpuinfo):
        if key == "model name":
            return value
    return platform.processor() or platform.machine()


@cache
def processor_flags(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """The instruction sets the processor has, in Linux's words, e.g. ``avx512_vnni``; empty elsewhere."""
    for key, value in _lines_of(cpuinfo):
        if key in _FLAG_LINES:
            return frozenset(value.split())
    return frozenset()


def saturates_int8(flags: frozenset[str], machine: str) -> bool:
    """Whether products of uint8 and int8 are summed in 16 bits, which overflow, as on x86 without VNNI.

    Where the flags are unknown an x86 processor is taken to have none. Source: Intel's VPMADDUBSW, which
    saturates to int16, and VPDPBUSD, which does not.
    """
    return machine.lower() in _X86 and not flags & _VNNI


def _lines_of(cpuinfo: Path) -> list[tuple[str, str]]:
    if not cpuinfo.exists():
        return []
    lines = (line.partition(":") for line in read_text(cpuinfo, errors="replace").splitlines())
    return [(key.strip(), value.strip()) for key, _, value in lines]
