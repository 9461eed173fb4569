"""A study that is killed ends like an undisturbed one, and two processes do not meet in one run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from outcomes import Run
from test_resume import figures

from calibrant.artifacts.checksums import damaged_files
from calibrant.artifacts.lock import locked
from calibrant.runtimes.ort import OnnxRuntime, OnnxRuntimeSession

KILLS = Path(__file__).resolve().parents[2] / "benchmarks" / "kills.py"
NAMES = "minmax,percentile:90,percentile:50"
STUDY = ("study", "m.onnx", "--calib", "calib", "--data", "test", "--calibrators", NAMES)


def started(*arguments: str, cache: Path | None = None) -> subprocess.Popen[bytes]:
    """Calibrant as a process of its own."""
    own = {"CALIBRANT_CACHE": str(cache)} if cache else {}
    return subprocess.Popen(
        [sys.executable, "-m", "calibrant", *arguments],
        env={**os.environ, **own},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_kills_at_random_moments(work: Path) -> None:
    """The short form; docs/robustness.md says what came of the long one."""
    data = ["--calib", "calib", "--data", "test/labels.json", "--calibrators", NAMES]
    ended = subprocess.run(
        [sys.executable, str(KILLS), "m.onnx", *data, "--kills", "6"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "all like the undisturbed one" in ended.stdout


def test_two_processes_on_one_run(run: Run, study: Run, work: Path) -> None:
    assert study(out="out").code == 0
    before = (work / "out/study.json").read_bytes()
    with locked(work / "out"):
        for command in (("resume", "out"), (*STUDY, "--out", "out", "--overwrite")):
            answer = run(*command)
            assert answer.code == 2
            assert f"out is in use by process {os.getpid()}" in answer.err
            assert answer.err.count("\n") == 1
    assert (work / "out/study.json").read_bytes() == before
    assert run("resume", "out").code == 0


def test_two_processes_sharing_a_cache(work: Path) -> None:
    both = [started(*STUDY, "--out", name, cache=work / "cache") for name in ("a", "b")]
    words = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], words
    assert figures(work / "a") == figures(work / "b")
    assert damaged_files(work / "a") == damaged_files(work / "b") == ()


def test_what_a_killed_process_left_half_written_goes(study: Run, work: Path) -> None:
    leftovers = [
        work / "out" / ".study.json.0123456789abcdef",
        work / "out/evidence/.fp32.npz.0123456789abcdef",
    ]
    folder = work / "out" / ".calibrant-abcd_123"
    folder.mkdir(parents=True)
    (work / "out/evidence").mkdir()
    for path in (*leftovers, folder / "minmax.qdq.onnx", work / "out/.mine"):
        path.write_bytes(b"half")
    assert study(out="out").code == 0
    assert [path for path in (*leftovers, folder) if path.exists()] == []
    assert (work / "out/.mine").exists()


def throwing_after(runs: int, session: OnnxRuntimeSession) -> Callable[[Any], Any]:
    """A session's run that is ONNX Runtime's own at first, and then finds no session."""
    left, run_once = iter(range(runs)), session.run

    def run(feeds: Any) -> Any:
        if next(left, None) is None:
            session._session = None
        return run_once(feeds)

    return run


def test_a_session_that_throws_in_the_middle_fails_one_trial(
    study: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_model = OnnxRuntime.open

    def opened(runtime: OnnxRuntime, model: Path) -> OnnxRuntimeSession:
        session = open_model(runtime, model)
        if model.name.startswith("percentile-90"):
            monkeypatch.setattr(session, "run", throwing_after(10, session))
        return session

    monkeypatch.setattr(OnnxRuntime, "open", opened)
    answer = study("--no-race", "--no-cache", "--diagnose-budget", "0", calibrators=NAMES)
    assert answer.code == 0
    trials = json.loads((work / "out/study.json").read_text())["trials"]
    assert [trial["status"] for trial in trials] == ["ok", "failed", "ok"]
    assert "ONNX Runtime failed while running the model" in answer.out


# --- a full disk -----------------------------------------------------------------------------------

_ON_A_SMALL_DISK = """
set -e
mount -t tmpfs -o size=$1 tmpfs disk
{python} -m calibrant study m.onnx --calib calib --data test --calibrators {names} --out disk/run && exit 9
python_failed=$?
ls -A disk/run >&2
mount -o remount,size=64m tmpfs disk
{python} -m calibrant resume disk/run
cp -r disk/run resumed
exit $python_failed
"""


def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="needs a file system of its own: Linux's user namespaces")
def test_a_full_disk_is_said_in_one_line_and_the_study_goes_on(study: Run, work: Path) -> None:
    assert study(calibrators=NAMES, out="whole").code == 0
    (work / "disk").mkdir()
    script = _ON_A_SMALL_DISK.format(python=sys.executable, names=NAMES)
    command = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", script, "full", "40k"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in ended.stderr.splitlines() if "has only 57 boxes" not in line]
    assert ended.returncode == 2, ended.stderr
    assert said[0].startswith("error: cannot write disk/run/")
    assert "its disk is full (0.0 MB are left); free some space there" in said[0]
    assert not [name for name in said[1:] if name.startswith(".")]
    resumed, whole = (figures(work / name) for name in ("resumed", "whole"))
    resumed.pop("warnings"), whole.pop("warnings")  # of few labels: conftest.py is not in other processes
    assert resumed == whole
    assert damaged_files(work / "resumed") == ()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_who_is_told_to_end_leaves_no_temporary_folder(work: Path, name: str) -> None:
    number = int(getattr(signal, name))
    (work / "tmp").mkdir()
    code = (
        "import os, signal, tempfile\n"
        "from calibrant.cli import cli, main\n"
        "@cli.command()\n"
        "def wait():\n"
        "    with tempfile.TemporaryDirectory(prefix='calibrant-'):\n"
        f"        os.kill(os.getpid(), {number})\n"
        "        raise AssertionError('it goes on')\n"
        "main(['wait'])\n"
    )
    environment = {**os.environ, "TMPDIR": str(work / "tmp")}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert ended.returncode == 128 + number, ended.stderr
    assert list((work / "tmp").iterdir()) == []
