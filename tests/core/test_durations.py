import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.durations import duration_in_seconds


@given(st.integers(0, 10**6))
def test_units_agree(count: int) -> None:
    assert duration_in_seconds(str(count)) == duration_in_seconds(f"{count}s") == count
    assert duration_in_seconds(f"{count} m") == duration_in_seconds(f"{60 * count}S")
    assert duration_in_seconds(f"{count}h") == duration_in_seconds(f"{60 * count}m")


@pytest.mark.parametrize("text", ["", "soon", "-5m", "5 days", "m", "1.h", "nan"])
def test_anything_else_is_no_duration(text: str) -> None:
    assert duration_in_seconds(text) is None
