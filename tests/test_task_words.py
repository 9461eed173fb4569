"""Rooms that serve every task speak of none: a task's words stay in tasks/ and reports/tasks/."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import calibrant

ROOT = Path(calibrant.__file__).parent
WORDS = re.compile(
    r"(map50|map_small|map_medium|map_large|\bmap\d|mAP|\bbox(es)?\b|_box(es)?\b|\bbox(es)?_|\bimages?\b|_images?\b"
    r"|\bimages?_|Image|imgsz|\bnms\b|NMS|\biou\b|IoU|[dD]etect|COCO|coco|\bVOC\b|\bvoc\b|ultralytics|class_map"
    r"|categor|thumbnail|pixel|\byolo|YOLO|\b(cer|wer|CER|WER)\b|perplexity|utterance|dnsmos)"
)
AT_HOME = ("tasks/", "reports/tasks/", "demo/")
ALLOWED: dict[str, int] = {
    "artifacts/runs_store/migrations/versions/v0001_runs_and_trials.py": 6,  # the first schema, as it was
    "artifacts/runs_store/migrations/versions/v0002_metrics.py": 8,  # what becomes of it
    "cli/commands.py": 1,  # an option of the demo
    "core/errors.py": 1,  # ImageError, which users catch by this name
    "executors/answers.py": 1,  # a package whose version decides figures
    "models/onnx/exporting.py": 4,  # a vendor's command, with its words
    "models/onnx/files.py": 1,  # how a vendor's file is exported
    "stages/optimization/search_space.py": 1,  # the name of an Optuna function
    "studies/environment.py": 1,  # as executors/answers.py
    "studies/schema_1.py": 3,  # keys of files that were written when there was one task
}
"""Lines that may stay, by file: others' names, and what old files hold."""


def told(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names and strings with their lines; docstrings and comments do not count."""
    documents = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Name():
                yield node.lineno, node.id
            case ast.Attribute():
                yield node.lineno, node.attr
            case ast.arg() | ast.keyword() if node.arg:
                yield node.lineno, node.arg
            case ast.FunctionDef() | ast.ClassDef() | ast.alias():
                yield node.lineno, node.name
            case ast.ImportFrom():
                yield node.lineno, node.module or ""
            case ast.Constant(value=str()) if id(node) not in documents:
                yield node.lineno, str(node.value)


def task_words(root: Path) -> dict[str, set[int]]:
    """Lines that speak of one task, by file."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not name.startswith(AT_HOME):
            lines = {line for line, text in told(ast.parse(path.read_text("utf-8"))) if WORDS.search(text)}
            if lines:
                found[name] = lines
    return found


def test_no_room_speaks_of_one_task() -> None:
    found = task_words(ROOT)
    assert {name: sorted(lines) for name, lines in found.items() if len(lines) > ALLOWED.get(name, 0)} == {}


def test_the_check_can_fail(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "own.py").write_text("iou = 1\n")
    (tmp_path / "room.py").write_text('"""An image."""\n\nx = 1\nprint("images")\n')
    assert task_words(tmp_path) == {"room.py": {4}}
