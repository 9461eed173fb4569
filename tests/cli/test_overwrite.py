"""A finished run is replaced only where its user says so, and only by a finished run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from outcomes import Outcome, Run

from calibrant.studies import run as studies_run

OPTIONS = (
    "--calib",
    "calib",
    "--data",
    "test",
    "--out",
    "out",
    "--calibrators",
    "minmax",
    "--diagnose-budget",
    "0",
)


def content(folder: Path) -> dict[str, str]:
    """Each file's hash by its name."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def finished(run: Run, work: Path) -> dict[str, str]:
    """A finished run in ``out``."""
    assert run("study", "m.onnx", *OPTIONS).code == 0
    return content(work / "out")


def cut_off(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_another_study_is_refused_before_any_work(run: Run, work: Path, finished: dict[str, str]) -> None:
    error = run("study", "m.onnx", *OPTIONS, "--limit", "20").error
    assert "out holds another finished run (study.json of " in error
    assert error.endswith("--overwrite to have it replaced")
    assert content(work / "out") == finished


@pytest.mark.parametrize(
    "command",
    [
        ("calibrate", "m.onnx", "--calib", "calib", "--out", "out"),
        ("optimize", "m.onnx", "--calib", "calib", "--data", "test", "--limit", "20", "--out", "out"),
        ("demo", "--out", "out"),
    ],
    ids=lambda command: command[0],
)
def test_other_commands_are_refused_too(
    run: Run, work: Path, finished: dict[str, str], command: tuple[str, ...]
) -> None:
    assert "out holds another finished run" in run(*command).error
    assert content(work / "out") == finished


def test_an_optimization_is_a_finished_run_too(run: Run, work: Path) -> None:
    command = ("optimize", "m.onnx", "--calib", "calib", "--data", "test", "--out", "out", "--budget", "10s")
    assert run(*command).code == 0
    before = content(work / "out")
    assert "out holds another finished run (optimization.json of " in run("study", "m.onnx", *OPTIONS).error
    assert content(work / "out") == before


def test_the_same_study_again_is_no_other(run: Run, work: Path, finished: dict[str, str]) -> None:
    assert run("study", "m.onnx", *OPTIONS).code == 0
    assert content(work / "out").keys() == finished.keys()
    assert content(work / "out")["minmax.qdq.onnx"] == finished["minmax.qdq.onnx"]


def test_the_new_run_replaces_the_old_one_whole(run: Run, work: Path, finished: dict[str, str]) -> None:
    (work / "out" / "notes.txt").write_text("mine")
    (work / "out" / "report.md").write_text("of the old run")
    assert run("study", "m.onnx", *OPTIONS, "--calibrators", "percentile:50", "--overwrite").code == 0
    found = content(work / "out")
    assert "minmax.qdq.onnx" in finished
    assert not [name for name in found if "minmax" in name or name == "report.md"]
    assert (work / "out" / "notes.txt").read_text() == "mine"
    assert found["report.html"] != finished["report.html"]
    assert json.loads((work / "out/study.json").read_text())["trials"][0]["calibrator"] == "percentile:50"
    sums = (work / "out" / "SHA256SUMS").read_text().splitlines()
    assert all(found[line.split("  ")[1]] == line.split("  ")[0] for line in sums)


def cut_study(run: Run, monkeypatch: pytest.MonkeyPatch, *options: str) -> Outcome:
    with monkeypatch.context() as patched:
        patched.setattr(studies_run, "with_verdict", cut_off)
        return run("study", "m.onnx", *OPTIONS, *options)


@pytest.mark.parametrize("options", [(), ("--limit", "20", "--overwrite")], ids=["the same", "another"])
def test_a_study_that_is_cut_off_leaves_the_old_one_as_it_was(
    run: Run, work: Path, finished: dict[str, str], monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    assert cut_study(run, monkeypatch, *options).code == 130
    assert content(work / "out") == finished
    assert run("resume", "out").code == 0


def test_calibrate_replaces_a_run_where_it_is_told_to(run: Run, work: Path, finished: dict[str, str]) -> None:
    command = (
        "calibrate",
        "m.onnx",
        "--calib",
        "calib",
        "--out",
        "out",
        "--calibrators",
        "mse",
        "--overwrite",
    )
    answer = run(*command)
    assert answer.code == 0, answer
    assert "staged" not in answer.out
    assert (work / "out" / "mse.cache").is_file()
    assert not (work / "out" / "study.json").exists()
