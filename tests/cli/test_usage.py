"""How the command line answers questions about itself and mistyped commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from outcomes import Run

STUDY = ("study", "m.onnx", "--calib", "calib", "--data", "test", "--calibrators", "minmax", "--out", "out")


def test_help_names_every_command(run: Run) -> None:
    answer = run("--help")
    assert answer.code == 0
    for command in ("study", "calibrate", "evaluate", "inspect", "demo"):
        assert f"\n  {command} " in answer.out


@pytest.mark.parametrize("command", ["study", "calibrate", "evaluate", "inspect", "demo"])
def test_every_command_explains_itself(run: Run, command: str) -> None:
    answer = run(command, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"Usage: calibrant {command}")


def test_version(run: Run) -> None:
    assert run("--version").out.startswith("calibrant, version ")


def test_without_a_command_there_is_help(run: Run) -> None:
    answer = run()
    assert answer.code == 2
    assert "study" in answer.err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["studdy"], "study"),
        (["study", "m.onnx", "--callib", "x"], "--calib"),
        (["study"], "MODEL"),
        ([*STUDY, "--limit", "0"], "--limit"),
        ([*STUDY, "--seed", "-1"], "--seed"),
        ([*STUDY, "--conf", "2"], "--conf"),
        (["calibrate", "m.onnx", "--calib", "calib", "--out", "out", "--tensors", "some"], "quantized"),
    ],
)
def test_a_mistyped_command_is_one_line(run: Run, work: Path, arguments: Sequence[str], hint: str) -> None:
    assert hint in run(*arguments).error
    assert not (work / "out").exists()


def _piped(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable}
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a POSIX system")
def test_a_stdout_that_takes_nothing_is_no_traceback(work: Path) -> None:
    gone = _piped("$PYTHON -m calibrant inspect m.onnx | true", work)
    assert gone.stderr == ""
    full = _piped("$PYTHON -m calibrant inspect m.onnx --json >/dev/full", work)
    assert (full.returncode, full.stderr.count("\n")) == (2, 1)
    assert full.stderr.startswith("error: No space left")
    closed = _piped(f"$PYTHON -m calibrant {' '.join(STUDY)} >&-", work)
    assert closed.returncode == 0
    assert closed.stderr.startswith("note: the test set has only 57 boxes")
    assert closed.stderr.count("\n") == 1
    assert json.loads((work / "out" / "study.json").read_text())["schema_version"] == 2
