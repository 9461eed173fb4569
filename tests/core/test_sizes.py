"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.sizes import bytes_in, format_bytes


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("800", 800),
        ("800M", 800_000_000),
        ("1.5GB", 1_500_000_000),
        (" 2 gib ", 2 * 2**30),
        ("4KiB", 4096),
        ("50%", 500),
        ("100%", 1000),
    ],
)
def test_a_size_is_read(text: str, count: int) -> None:
    assert bytes_in(text, 1000) == count


@pytest.mark.parametrize("text", ["", "much", "-1G", "0%", "101%", "1.5.5G", "1iB", "9" * 30, "1e9", "NaN"])
def test_what_is_none_is_none(text: str) -> None:
    assert bytes_in(text, 1000) is None


def test_a_share_needs_a_whole() -> None:
    assert bytes_in("50%") is None


@given(st.text(max_size=12))
def test_any_text_is_a_size_or_none(text: str) -> None:
    assert (bytes_in(text, 10) or 0) >= 0


def test_sizes_are_shown_in_few_digits() -> None:
    assert [format_bytes(count) for count in (1_234_567, 1_550_000_000)] == ["1 MB", "1.6 GB"]
