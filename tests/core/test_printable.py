"""Names from files cannot play with the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.errors import CalibrantError, DataError
from calibrant.core.printable import printable, printable_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("conv/1:0", "conv/1:0"),
        ("модель 模型", "модель 模型"),
        ("\x1b[31mred\a", r"\x1b[31mred\x07"),
        ("two\nlines\r", r"two\nlines\r"),
        ("right\u202eleft", r"right\u202eleft"),
        ("\x9b31m", r"\x9b31m"),
        ("\ud800", r"\ud800"),
        ("1\u00a0%", "1\u00a0%"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_nothing_is_left_to_obey_and_once_is_enough(text: str) -> None:
    shown = printable(text)
    assert shown.replace("\u00a0", " ").isprintable()
    assert printable(shown) == shown


@given(st.text(), st.sampled_from([CalibrantError, DataError]))
def test_every_error_is_one_line(text: str, kind: type[CalibrantError]) -> None:
    assert str(kind(text)) == printable(text)


def test_a_name_without_end_leaves_the_remedy_in_sight() -> None:
    words = str(DataError(f"{'x' * 100_000} is too long; shorten it"))
    assert len(words) < 1300
    assert words.endswith("shorten it")


def test_lines_stay_lines() -> None:
    assert printable_lines("a\x1b[31m\nb\u202e\n") == "a\\x1b[31m\nb\\u202e\n"
    assert printable_lines("plain ü 字") == "plain ü 字"
