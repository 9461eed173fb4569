"""``--dry-run``: what will be done and taken, before anything is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from outcomes import Run

import calibrant

SETS = ("m.onnx", "--calib", "calib", "--data", "test")


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("study", *SETS), ("candidates: minmax", "on 4 images", "on 30 images")),
        (("optimize", *SETS, "--budget", "5m"), ("search for at most 5 min", "the other 15 images")),
        (("coverage", *SETS, "--budget", "90s"), ("34 images of 2 sets", "at most 90 s")),
        (("sweep", "s.yaml"), ("to do", "1 of 1 runs are to do")),
    ],
)
def test_nothing_is_written(
    run: Run, work: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CALIBRANT_CACHE", str(work / "cache"))
    monkeypatch.setenv("CALIBRANT_HOME", str(work / "home"))
    (work / "s.yaml").write_text(
        "models: [m.onnx]\ndatasets: [{calib: calib, data: test}]\ncalibrators: [minmax]\n"
    )
    before = files(work)
    asked = () if command[0] == "sweep" else ("--calibrators", "minmax")
    answer = run(*command, *asked, "--dry-run")
    assert (answer.code, answer.err) == (0, "")
    for text in (*words, "time    about", "memory", "disk    at most", "nothing was written"):
        assert text in answer.out
    assert files(work) == before


def test_a_dry_run_finds_what_is_wrong(run: Run) -> None:
    answer = run("study", "m.onnx", "--calib", "nowhere", "--data", "test", "--dry-run")
    assert answer.code == 2
    assert "nowhere" in answer.error


def test_the_disk_that_is_told_suffices(work: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = work / "cache"
    monkeypatch.setenv("CALIBRANT_CACHE", str(cache))
    told = json.loads(run("study", *SETS, "--out", "out", "--dry-run", "--json").out)
    assert run("study", *SETS, "--out", "out").code == 0
    assert 0 < sum(files(work / "out").values()) <= told["disk"] < 40 * 2**20
    assert sum(files(cache).values()) <= told["cache"]
    one = calibrant.plan_study("m.onnx", "calib", "test", calibrators="minmax")
    assert one.disk < told["disk"]
    found = calibrant.plan_optimization("m.onnx", "calib", "test", calibrators="minmax", budget="2s")
    assert run("optimize", *SETS, "--out", "best", "--budget", "2s", "--calibrators", "minmax").code == 0
    assert sum(files(work / "best").values()) <= found.disk
    assert found.seconds >= 2
