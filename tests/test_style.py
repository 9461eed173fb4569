"""The style that no linter checks: small files, vendors in their rooms, a quick start."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "calibrant"
CALIBRANT = str(Path(sys.executable).with_name("calibrant"))
LONGEST_FILE = 500
MOSTLY_UNDER = 25

ONNX_RUNTIME_GRAPHS = (
    "runtimes/ort_files.py",
    "runtimes/ort_graph.py",
    "runtimes/ort_operators.py",
    "runtimes/ort_probe.py",
    "runtimes/ort_qdq.py",
    "runtimes/ort_shown.py",
    "runtimes/ort_verified.py",
)
# Where a heavy package may be imported: files or folders below src/calibrant.
HOMES = {
    "onnxruntime": ("runtimes/ort.py", *ONNX_RUNTIME_GRAPHS),
    "openvino": ("runtimes/openvino.py",),
    "ray": ("executors/ray.py",),
    "tensorrt_rtx": ("runtimes/tensorrt_rtx_worker.py",),
    "tensorrt": ("runtimes/tensorrt.py", "runtimes/tensorrt_worker"),
    "torch": ("models/checkpoint",),
    "transformers": ("models/checkpoint",),
    "ddddocr": (),
    "onnx": ("models/onnx", "targets", *ONNX_RUNTIME_GRAPHS, "runtimes/onnx_files.py", "testing.py"),
    "onnx_ir": ("models/onnx", "targets"),
    "cv2": ("tasks", "demo"),
    "PIL": ("tasks", "demo"),
    "dhash": ("tasks",),
    "hotcoco": ("tasks/detection",),
    "yaml": ("core/plain_yaml.py", "artifacts/yaml_files.py", "artifacts/yaml_places.py"),
    "rich": ("reports",),
    "jinja2": ("reports/html",),
    "markupsafe": ("reports/html",),
    "click": ("cli",),
    "sqlalchemy": ("artifacts/runs_store",),
    "alembic": ("artifacts/runs_store",),
    "psycopg": (),
    "mlflow": ("reports/mlflow.py",),
}
HEAVY = {"jinja2", "numba", "onnx", "onnx_ir", "onnxruntime", "cv2", "hotcoco", "rich", "PIL", "yaml"}
HEAVY |= {"sqlalchemy", "alembic", "mlflow"}


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(SOURCE.rglob("*.py")):
        yield file.relative_to(SOURCE).as_posix(), ast.parse(file.read_text(encoding="utf-8"))


def _imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def _lengths(tree: ast.Module) -> Iterator[int]:
    """Lines of each function without its docstring, which is for readers and may be long."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            first = node.body[0]
            documented = ast.get_docstring(node) is not None and first.end_lineno is not None
            words = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
            yield node.end_lineno - node.lineno + 1 - words


def test_no_file_is_long() -> None:
    files = [*SOURCE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    assert len(files) > 20
    lengths = {file.relative_to(ROOT).as_posix(): len(file.read_text("utf-8").splitlines()) for file in files}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_most_functions_are_short() -> None:
    lengths = [length for _, tree in _modules() for length in _lengths(tree)]
    assert sum(length < MOSTLY_UNDER for length in lengths) / len(lengths) > 0.9


def test_vendors_are_imported_at_home_only() -> None:
    strays = [
        f"{file} imports {package}"
        for file, tree in _modules()
        for package in sorted(_imported(tree) & HOMES.keys())
        if not any(file == home or file.startswith(f"{home}/") for home in HOMES[package])
    ]
    assert strays == []


def test_a_stray_vendor_would_be_seen() -> None:
    tree = ast.parse("def f():\n    from onnxruntime.capi import x\n    import cv2.dnn, numpy")
    assert _imported(tree) == {"onnxruntime", "cv2", "numpy"}


@pytest.mark.parametrize(
    "code",
    [
        "import calibrant",
        "import calibrant; dir(calibrant)",
        "from calibrant.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from calibrant.cli import main\ntry: main(['study', '--help'])\nexcept SystemExit: pass",
    ],
)
def test_starting_loads_nothing_heavy(code: str) -> None:
    report = "\nimport sys, json; print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    run = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    loaded = set(json.loads(run.stdout.splitlines()[-1]))
    assert "calibrant" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize(
    ("command", "most"), [([sys.executable, "-c", "import calibrant"], 0.2), ([CALIBRANT, "--help"], 0.3)]
)
def test_starting_is_quick(command: list[str], most: float) -> None:
    assert min(_processor_seconds(command) for _ in range(5)) < most


def _processor_seconds(command: list[str]) -> float:
    """What a command takes of the processor: a busy machine is no fault of ours."""
    before = os.times()
    subprocess.run(command, capture_output=True, check=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system
