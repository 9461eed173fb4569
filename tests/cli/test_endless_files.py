"""What never ends (a pipe that nobody writes to, a device) is refused by every command, at once."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from outcomes import Run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")

KINDS = ("pipe", "link to a pipe", "link to a device")
LONGEST_WAIT_SECONDS = 60


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """Ends a test that waits."""

    def ring(*_: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(LONGEST_WAIT_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def endless(path: Path, kind: str) -> None:
    """Put what never ends in a file's place."""
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    else:
        hidden = path.with_name(f"{path.name}.pipe")
        if not hidden.exists():
            os.mkfifo(hidden)
        path.symlink_to(hidden)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_user_names(run: Run, work: Path, kind: str) -> None:
    for name in ("p.onnx", "p.npy", "p.npz", "p.txt", "p.json", "p.yaml", "p.cache", "p.jpg"):
        endless(work / name, kind)
    test = ("--data", "test")
    refused = [
        run("inspect", "p.onnx"),
        run("calibrate", "p.onnx", "--calib", "calib", "--out", "o"),
        *(run("calibrate", "m.onnx", "--calib", f"p.{end}", "--out", "o") for end in ("npy", "npz")),
        *(run("calibrate", "m.onnx", "--calib", f"p.{end}", "--out", "o") for end in ("txt", "jpg")),
        run("evaluate", "p.onnx", *test),
        *(run("evaluate", "m.onnx", "--data", f"p.{end}") for end in ("json", "yaml", "txt")),
        run("evaluate", "m.onnx", *test, "--family", "p.yaml"),
        run("study", "m.onnx", "--calib", "calib", "--data", "p.json", "--out", "o"),
        run("sweep", "p.yaml"),
        run("optimize", "m.onnx", "--calib", "calib", "--out", "o", "--recipe", "p.yaml"),
        run("cache", "show", "p.cache"),
        run("cache", "diff", "p.cache", "p.cache"),
    ]  # fmt: skip
    assert all(answer.error for answer in refused)


@pytest.mark.parametrize("kind", KINDS)
def test_what_label_files_name(run: Run, work: Path, kind: str) -> None:
    image = next((work / "test").rglob("*.png"))
    endless(image, kind)
    assert run("evaluate", "m.onnx", "--data", "test").error
    sample = next((work / "calib").iterdir())
    endless(sample, kind)
    assert run("calibrate", "m.onnx", "--calib", "calib", "--out", "o").error


def test_what_a_runs_folder_holds(study: Run, run: Run, work: Path) -> None:
    assert study("--diagnose-budget", "0").code == 0
    files = [path.relative_to(work / "out") for path in (work / "out").rglob("*") if path.is_file()]
    assert len(files) >= 8
    for index, file in enumerate(files):
        shutil.copytree(work / "out", work / "run")
        endless(work / "run" / file, KINDS[index % len(KINDS)])
        for command in ("report", "compare"):
            others = ("out",) if command == "compare" else ()
            answer = run(command, "run", *others)
            assert answer.code in (0, 2), answer
            assert "Traceback" not in answer.err
        assert run("runs", "add", "run").code in (0, 2)
        shutil.rmtree(work / "run")


def test_resume_makes_again_what_never_ends(study: Run, run: Run, work: Path) -> None:
    assert study("--diagnose-budget", "0").code == 0
    kept = [*(work / "out").rglob("*.npz"), *(work / "out").rglob("*.onnx"), work / "out/study.json"]
    for index, file in enumerate(kept):
        endless(file, KINDS[index % len(KINDS)])
    answer = run("resume", "out")
    assert answer.code == 0, answer
    assert all(file.is_file() and not file.is_symlink() for file in kept)
