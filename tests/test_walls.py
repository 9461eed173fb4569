"""The walls between the rooms hold, and each kind of breach is caught."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What is planted where, and the words that must be in the complaint.
BREACHES = {
    "a lower room reaches up": (
        "core/schemes.py",
        "import calibrant.studies",
        "calibrant.core.schemes -> calibrant.studies",
    ),
    "neighbours know each other": (
        "calibrators/minmax.py",
        "import calibrant.models.onnx",
        "calibrant.calibrators.minmax -> calibrant.models.onnx",
    ),
    "an import inside a function": (
        "stages/collect.py",
        "def later() -> None:\n    import calibrant.api",
        "calibrant.stages.collect -> calibrant.api",
    ),
    "core takes a heavy package": ("core/schemes.py", "import onnx", "calibrant.core.schemes -> onnx"),
    "a vendor outside its file": (
        "models/onnx/points.py",
        "import onnxruntime",
        "calibrant.models.onnx.points -> onnxruntime",
    ),
    "another vendor outside its file": (
        "stages/evaluate.py",
        "import openvino",
        "calibrant.stages.evaluate -> openvino",
    ),
    "the cluster's package outside its file": (
        "stages/collect.py",
        "import ray",
        "calibrant.stages.collect -> ray",
    ),
    "torch outside the checkpoints' room": (
        "studies/compare.py",
        "import torch",
        "calibrant.studies.compare -> torch",
    ),
    "a room that no layer names": ("attic.py", "import numpy", "calibrant.attic"),
}


def _lint_imports(project: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    environment = {**os.environ, "PYTHONPATH": str(project / "src"), "COLUMNS": "200"}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_walls_hold(copy: Path) -> None:
    run = _lint_imports(copy)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(("file", "code", "complaint"), BREACHES.values(), ids=BREACHES)
def test_a_breach_is_caught(copy: Path, file: str, code: str, complaint: str) -> None:
    with (copy / "src" / "calibrant" / file).open("a") as source:
        source.write(f"\n{code}\n")
    run = _lint_imports(copy)
    assert run.returncode == 1, run.stdout
    assert complaint in run.stdout
