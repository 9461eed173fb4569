"""A file runs no program and imports no package unless its user says so, whatever command reads it."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from outcomes import Run

from calibrant.studies.plan import StudySettings
from calibrant.studies.request import StudyRequest
from calibrant.studies.trust import DATA_ONLY, NEEDS_WORD

HOSTILE_RUNTIMES = (
    "tensorrt:python={program}",
    "tensorrt:int8=cache,python={program}",
    "tensorrt:python={program},timeout=5",
    "tensorrt:folder={folder}",
)


@pytest.fixture
def program(work: Path) -> Path:
    """A program that leaves a mark when it is started."""
    path = work / "evil.cache"
    path.write_text(f"#!/bin/sh\ntouch {work / 'pwned'}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def package(work: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package with a calibrator, whose import leaves a mark; gives the calibrator's name."""
    folder = work / "site" / "evil-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[calibrant.calibrators]\nevil = evil_module:evil\n")
    (work / "site" / "evil_module.py").write_text(
        f"open({str(work / 'pwned')!r}, 'w').close()\n"
        "from calibrant import Range\n"
        "def evil(stats, spec):\n    return Range(-stats.amax, stats.amax)\n"
    )
    monkeypatch.syspath_prepend(work / "site")
    monkeypatch.delitem(sys.modules, "evil_module", raising=False)
    return "evil"


def changed(folder: Path, **settings: Any) -> None:
    """Change a run's request as its sender may."""
    path = folder / "request.json"
    content = json.loads(path.read_text())
    for key, value in settings.items():
        (content if key in content else content["settings"])[key] = value
    path.write_text(json.dumps(content))


def is_untouched(work: Path) -> bool:
    return not (work / "pwned").exists() and not (work / "elsewhere").exists()


@pytest.fixture
def sent(study: Run, work: Path) -> Path:
    """A run's folder as somebody may send it."""
    assert study("--diagnose-budget", "0").code == 0
    return work / "out"


COMMANDS = {
    "resume": ("resume", "out"),
    "optimize": ("optimize", "out", "--budget", "1s", "--out", "better"),
    "diagnose": ("diagnose", "out", "--budget", "1s"),
    "report": ("report", "out"),
    "compare": ("compare", "out", "out"),
    "runs add": ("runs", "add", "out"),
    "coverage": ("coverage", "m.onnx", "--calib", "calib", "--out", "covered"),
}


@pytest.mark.parametrize("runtime", HOSTILE_RUNTIMES)
def test_a_runs_folder_starts_no_program(
    sent: Path, run: Run, work: Path, program: Path, runtime: str
) -> None:
    changed(sent, runtime=runtime.format(program=program, folder=work / "elsewhere"))
    for name, command in COMMANDS.items():
        answer = run(*command)
        assert answer.code in (0, 2), answer
        if name in ("resume", "optimize"):
            assert "say it yourself: --runtime tensorrt:" in answer.error
    assert is_untouched(work)


@pytest.mark.parametrize(
    "names", [["evil"], ["minmax", "evil"], ["minmax,evil"], ["percentile:99,evil"], [" evil "]]
)
def test_a_runs_folder_imports_no_package(
    sent: Path, run: Run, work: Path, package: str, names: list[str]
) -> None:
    changed(sent, calibrators=names)
    for command in ("resume", "optimize"):
        assert f"--calibrators {package}" in run(*COMMANDS[command]).error
    for name in COMMANDS.keys() - {"resume", "optimize"}:
        assert run(*COMMANDS[name]).code in (0, 2)
    assert is_untouched(work)


def test_the_users_word_suffices(study: Run, run: Run, work: Path, package: str, program: Path) -> None:
    assert study(calibrators="minmax,evil").code == 0
    (work / "out" / "study.json").unlink()
    assert "--calibrators evil" in run("resume", "out").error
    assert run("resume", "out", "--calibrators", "evil").code == 0
    changed(work / "out", runtime=f"tensorrt:python={program}", calibrators=["minmax"])
    answer = run("resume", "out", "--runtime", f"tensorrt:python={program}")
    assert "say it yourself" not in answer.err
    assert (work / "pwned").exists()


def test_other_words_than_the_runs_own_are_refused(sent: Path, run: Run) -> None:
    assert "was begun with --runtime onnxruntime" in run("resume", "out", "--runtime", "openvino").error
    assert "was begun without calibrator mse" in run("resume", "out", "--calibrators", "mse").error


@pytest.mark.parametrize("runtime", HOSTILE_RUNTIMES)
def test_a_sweeps_file_starts_no_program(run: Run, work: Path, program: Path, runtime: str) -> None:
    named = runtime.format(program=program, folder=work / "elsewhere")
    content = {"models": ["m.onnx"], "datasets": [{"calib": "calib", "data": "test"}], "runtimes": [named]}
    (work / "sweep.yaml").write_text(yaml.safe_dump(content))
    for options in ((), ("--dry-run",), ("--trust", "m.onnx")):
        assert "--trust sweep.yaml" in run("sweep", "sweep.yaml", *options).error
    assert is_untouched(work)
    assert run("sweep", "sweep.yaml", "--dry-run", "--trust", "sweep.yaml").code == 0


def test_a_sweeps_file_imports_no_package(run: Run, work: Path, package: str) -> None:
    content = {
        "models": ["m.onnx"],
        "datasets": [{"calib": "calib", "data": "test"}],
        "calibrators": [package],
    }
    (work / "sweep.yaml").write_text(yaml.safe_dump(content))
    assert "--trust sweep.yaml" in run("sweep", "sweep.yaml").error
    assert is_untouched(work)


@pytest.mark.parametrize("where", ["calibrator", "ranges"])
def test_a_recipe_imports_no_package(run: Run, work: Path, package: str, where: str) -> None:
    recipe = {
        "calibrant_recipe": 1, "explanation": "", "model": "m.onnx", "model_sha256": "", "scheme": "tensorrt",
        "calibration_ids_sha256": "", "imgsz": None, "equalize": None, "correct_bias": False, "ranges": {},
        "calibrator": "minmax", "float": [], "kept_float_by_user": [],
    }  # fmt: skip
    recipe[where] = package if where == "calibrator" else {"hue": package}
    (work / "r.yaml").write_text(yaml.safe_dump(recipe))
    command = ("optimize", "m.onnx", "--recipe", "r.yaml", "--calib", "calib", "--out", "made")
    assert "--calibrators evil" in run(*command).error
    assert is_untouched(work)
    assert run(*command, "--calibrators", "evil").code == 0


def test_every_field_of_a_request_is_decided_on() -> None:
    names = {field.name for field in fields(StudyRequest)} - {"settings"}
    names |= {f"settings.{field.name}" for field in fields(StudySettings)}
    assert names == NEEDS_WORD | DATA_ONLY
    assert not NEEDS_WORD & DATA_ONLY
