"""YAML gives plain values, and never more than its text deserves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core import plain_yaml
from calibrant.core.plain_yaml import parsed_yaml

LAUGHS = "a: &a [lol, lol]\n" + "\n".join(
    f"{here}: &{here} [{', '.join([f'*{there}'] * 9)}]"
    for there, here in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "\n".join(
    f"{here}: &{here} {{<<: [{', '.join([f'*{there}'] * 9)}]}}"
    for there, here in zip("abcdefgh", "bcdefghi", strict=True)
)


def refusal(text: str) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parsed_yaml(text)
    words = str(caught.value)
    assert "\n" not in words
    assert len(words) < 300
    return words


@pytest.mark.parametrize("bomb", [LAUGHS, MERGES])
def test_aliases_that_grow_without_end_are_refused_before_they_do(bomb: str) -> None:
    assert "aliases stand for more than" in refusal(bomb)


def test_ordinary_aliases_are_values() -> None:
    assert parsed_yaml("a: &a {x: 1}\nb: {<<: *a, y: *a}") == {"a": {"x": 1}, "b": {"x": 1, "y": {"x": 1}}}
    assert parsed_yaml("") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("&a [*a]", "holds itself"),
        ("[" * 5000, "nested too deeply"),
        ("{a: " * 5000, "nested too deeply"),
        ("a: 0x" + "f" * 9000, "a number of"),
        ("a: " + ":".join(["1"] * 5000), "a number of"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("!!python/name:os.system", "could not determine a constructor"),
        ("a: 1\n---\nb: 2", "expected a single document"),
        ("a: [", "expected"),
        ("? []", "unhashable"),
        ("x" * (plain_yaml.MOST_CHARACTERS + 1), "characters"),
    ],
)
def test_what_is_no_settings_file_is_refused_in_one_line(text: str, words: str) -> None:
    assert words in refusal(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parsed_yaml(text)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017
