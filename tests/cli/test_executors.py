"""``--executor``: the same study by other processes, and refusals in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from outcomes import Run
from test_resume import figures

from calibrant.artifacts.statistics import read_statistics

NAMES = "minmax,percentile:90,percentile:50"


def test_processes_give_the_same_study(study: Run, work: Path) -> None:
    assert study("--no-cache", calibrators=NAMES, out="alone").code == 0
    answer = study("--no-cache", "--executor", "local:2", calibrators=NAMES, out="shared")
    assert (answer.code, answer.err) == (0, "")
    assert figures(work / "alone") == figures(work / "shared")
    one, other = (read_statistics(work / run / "statistics.npz").tensors for run in ("alone", "shared"))
    for tensor, stats in one.items():
        assert stats.histogram.counts.tobytes() == other[tensor].histogram.counts.tobytes()
        assert (stats.low, stats.high) == (other[tensor].low, other[tensor].high)


@pytest.mark.parametrize(
    ("executor", "words"),
    [
        ("cluster", "no executor is called 'cluster'"),
        ("local:none", "'none' is no number of processes"),
    ],
)
def test_a_wrong_executor_is_one_line(study: Run, work: Path, executor: str, words: str) -> None:
    assert words in study("--executor", executor).error
    assert not (work / "out").exists()


def test_without_ray_it_says_how_to_have_it(study: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "calibrant.executors.ray", raising=False)
    assert "pip install 'calibrant[ray]'" in study("--executor", "ray").error
