"""Progress where no terminal is: a line now and then."""

from __future__ import annotations

import pytest

from calibrant.reports.progress import Lines


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in its only element."""
    now = [100.0]
    monkeypatch.setattr("calibrant.reports.progress.time.monotonic", lambda: now[0])
    return now


def lines_of(clock: list[float], capsys: pytest.CaptureFixture[str], steps: int, seconds: float) -> list[str]:
    with Lines().stage("Evaluating minmax", steps) as advance:
        for _ in range(steps):
            clock[0] += seconds
            advance()
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()


def test_a_short_stage_says_nothing(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    assert lines_of(clock, capsys, steps=10, seconds=1.4) == []


def test_a_long_one_tells_how_far_it_is_and_when_it_is_done(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert lines_of(clock, capsys, steps=10, seconds=4.0) == [
        "Evaluating minmax: 4/10 in 16 s, about 24 s left",
        "Evaluating minmax: 8/10 in 32 s, about 8 s left",
        "Evaluating minmax: 10/10 in 40 s",
    ]


def test_a_title_of_a_file_cannot_move_the_cursor(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Lines().stage("Evaluating \x1b[2J", 1) as advance:
        clock[0] += 20
        advance()
    assert "\x1b" not in capsys.readouterr().err
