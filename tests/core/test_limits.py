"""Limits that the environment can move."""

from __future__ import annotations

import pytest

from calibrant.core.errors import SettingsError
from calibrant.core.limits import limit_from


def test_the_default_holds_where_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALIBRANT_MAX_THINGS", raising=False)
    assert limit_from("CALIBRANT_MAX_THINGS", 7) == 7
    monkeypatch.setenv("CALIBRANT_MAX_THINGS", "")
    assert limit_from("CALIBRANT_MAX_THINGS", 7) == 7


def test_what_is_set_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALIBRANT_MAX_THINGS", " 12 ")
    assert limit_from("CALIBRANT_MAX_THINGS", 7) == 12


@pytest.mark.parametrize("text", ["many", "-1", "0", "1.5", "٣", "9" * 30])
def test_what_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CALIBRANT_MAX_THINGS", text)
    with pytest.raises(SettingsError, match=r"CALIBRANT_MAX_THINGS=.*give a whole number"):
        limit_from("CALIBRANT_MAX_THINGS", 7)
