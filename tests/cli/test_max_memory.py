"""--max-memory: fewer runs at once, or a refusal before the work begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from outcomes import Run
from test_resume import figures

from calibrant.core import machine
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.studies import memory
from calibrant.studies.memory import MemoryNeed


def test_what_does_not_fit_is_refused_before_anything_is_done(study: Run, work: Path) -> None:
    answer = study("--max-memory", "100MB")
    assert answer.code == 2
    assert answer.err.startswith("error: the study takes about ")
    assert "and may have 100 MB; allow more with --max-memory" in answer.err
    assert answer.err.count("\n") == 1
    assert not (work / "out").exists()


@pytest.mark.parametrize("size", ["much", "0", "200%", "-1G"])
def test_what_is_no_amount_is_refused(study: Run, size: str) -> None:
    assert "is no amount of memory; give e.g. 4GB" in study("--max-memory", size).error


def test_fewer_runs_at_once_give_the_same_figures(
    study: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibrant.runtimes.ort.usable_cores", lambda: 8)
    assert study("--no-cache", "--max-memory", "64GB", out="wide").code == 0
    monkeypatch.setattr(memory, "memory_need", lambda _: MemoryNeed(10**9, 10**8))
    answer = study("--no-cache", "--max-memory", "1.25GB", out="narrow")
    assert "note: 2 of 8 runs at once, to stay within 1.2 GB" in answer.err
    assert figures(work / "narrow") == figures(work / "wide")


def test_the_default_is_a_share_of_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_limit", lambda: 10**10)
    assert memory.allowed_bytes(None) == 8 * 10**9
    assert memory.allowed_bytes("50%") == 5 * 10**9
    monkeypatch.setattr(memory, "memory_limit", lambda: None)
    assert memory.allowed_bytes(None) is None


@pytest.mark.parametrize(("limit", "workers"), [(99, 0), (149, 0), (150, 1), (249, 2), (1000, 18)])
def test_as_many_runs_as_fit(limit: int, workers: int) -> None:
    assert MemoryNeed(100, 50).workers_within(limit) == workers


def test_a_runtime_is_told_how_many_runs() -> None:
    assert OnnxRuntime(8).with_workers(3).workers == 3


def test_the_process_knows_what_it_has() -> None:
    assert 10**6 < machine.resident_bytes() < 10**12
