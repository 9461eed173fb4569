"""What is read off the processor, and whether it saturates."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.processor import processor_flags, processor_name, saturates_int8

CPUINFO = """processor\t: 0
model name\t: Some Vendor(R) CPU @ 2.00GHz
flags\t\t: fpu sse avx2 avx512_vnni

processor\t: 1
model name\t: Some Vendor(R) CPU @ 2.00GHz
"""


def test_name_and_flags_are_linuxs(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    assert processor_name(tmp_path / "cpuinfo") == "Some Vendor(R) CPU @ 2.00GHz"
    assert processor_flags(tmp_path / "cpuinfo") == {"fpu", "sse", "avx2", "avx512_vnni"}


def test_elsewhere_no_flag_is_known(tmp_path: Path) -> None:
    assert processor_flags(tmp_path / "none") == frozenset()
    assert processor_name(tmp_path / "none")


def test_x86_without_vnni_saturates() -> None:
    assert saturates_int8(frozenset({"avx2", "avx512f"}), "x86_64")
    assert saturates_int8(frozenset(), "AMD64"), "unknown flags: better slow than wrong"
    assert not saturates_int8(frozenset({"avx2", "avx512_vnni"}), "x86_64")
    assert not saturates_int8(frozenset({"avx_vnni"}), "x86_64")


@given(flags=st.frozensets(st.sampled_from(["asimd", "avx2", "sve"])))
def test_arm_never_does(flags: frozenset[str]) -> None:
    assert not saturates_int8(flags, "aarch64")
    assert not saturates_int8(flags, "arm64")
