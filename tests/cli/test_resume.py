"""``calibrant resume``: a study that was cut off goes on in its folder, with the same result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from outcomes import Run

from calibrant.studies import run as studies_run

NAMES = "minmax,percentile:90,percentile:50"
VARIES = ("created", "calibration_seconds", "seconds", "latency", "path", "dataset", "calibration")


def figures(folder: Path) -> dict[str, Any]:
    """study.json without what differs between any two runs."""

    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: stripped(v) for k, v in value.items() if k not in VARIES}
        return [stripped(item) for item in value] if isinstance(value, list) else value

    content: dict[str, Any] = stripped(json.loads((folder / "study.json").read_text(encoding="utf-8")))
    return content


def test_an_interrupted_study_goes_on_to_the_same_result(
    study: Run, run: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert study(calibrators=NAMES, out="whole").code == 0

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(studies_run, "with_verdict", cut_off)
        interrupted = study(calibrators=NAMES, out="cut")
    assert interrupted.code == 130
    assert "note: calibrant resume cut goes on from what was measured\n" in interrupted.err
    assert not (work / "cut" / "study.json").exists()
    answer = run("resume", "cut")
    assert (answer.code, answer.err) == (0, "")
    assert figures(work / "cut") == figures(work / "whole")


def test_a_folder_may_have_moved_and_the_current_one_be_another(
    study: Run, run: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert study(out="run").code == 0
    (work / "run" / "study.json").unlink()
    shutil.move(work / "run", work / "moved")
    (work / "elsewhere").mkdir()
    monkeypatch.chdir(work / "elsewhere")
    assert run("resume", work / "moved").code == 0
    assert (work / "moved" / "study.json").exists()


def test_what_is_gone_is_told(study: Run, run: Run, work: Path) -> None:
    assert study(out="run").code == 0
    (work / "m.onnx").unlink()
    assert "m.onnx" in run("resume", "run").error
    assert "request.json" in run("resume", work).error


def test_the_folder_of_a_search_is_no_study(study: Run, run: Run, work: Path) -> None:
    assert study(out="run").code == 0
    (work / "run" / "measurements").mkdir()
    assert "the same optimize command with --out goes on" in run("resume", "run").error
