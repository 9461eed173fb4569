import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.durations import duration_in_seconds, seconds_of
from calibrant.core.errors import SettingsError


@given(st.integers(0, 10**6))
def test_units_agree(count: int) -> None:
    assert duration_in_seconds(str(count)) == duration_in_seconds(f"{count}s") == count
    assert duration_in_seconds(f"{count} m") == duration_in_seconds(f"{60 * count}S")
    assert duration_in_seconds(f"{count}h") == duration_in_seconds(f"{60 * count}m")


@pytest.mark.parametrize("text", ["", "soon", "-5m", "5 days", "m", "1.h", "nan"])
def test_anything_else_is_no_duration(text: str) -> None:
    assert duration_in_seconds(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), (" 30 ", 30), ("2M", 120)]
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "soon", "-5m", "5 days", "m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is no time"):
        seconds_of(text)


@pytest.mark.parametrize("budget", [90, 90.0, "1.5m"])
def test_a_budget_is_a_number_or_text(budget: float | str) -> None:
    assert seconds_of(budget) == 90


def test_nothing_is_a_budget_only_where_it_may_be() -> None:
    assert seconds_of(0, may_be_zero=True) == seconds_of("0s", may_be_zero=True) == 0
    for budget in (-1.0, float("nan")):
        with pytest.raises(SettingsError, match="is no time"):
            seconds_of(budget, may_be_zero=True)
