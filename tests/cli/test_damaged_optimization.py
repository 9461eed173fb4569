"""An optimization's folder recovers from any damage, and ``resume`` goes on in it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from outcomes import Run

OPTIONS = ("--calib", "calib", "--data", "test", "--out", "out", "--calibrators", "minmax", "--seed", "1")


def figures(folder: Path) -> Any:
    content = json.loads((folder / "optimization.json").read_text())
    return content["best_single"]["report"], content["settings"]


@pytest.fixture
def optimized(run: Run, work: Path) -> Path:
    """A finished optimization."""
    assert run("optimize", "m.onnx", *OPTIONS, "--budget", "4s", "--max-drop", "3").code == 0
    return work / "out"


def without(key: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = json.loads(path.read_text())
        content.pop(key, None)
        path.write_text(json.dumps(content))

    return damage


def with_value(key: str, value: Any) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = json.loads(path.read_text())
        if key in content:
            content[key] = value
        path.write_text(json.dumps(content))

    return damage


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "a list": lambda path: path.write_text("[]"),
    "no value": without("value"),
    "no figures": without("figures"),
    "no agreement": without("agreement"),
    "no evidence": without("evidence"),
    "text for the value": with_value("value", "much"),
    "another value": with_value("value", 0.123),
    "text for the agreement": with_value("agreement", "much"),
    "evidence elsewhere": with_value("evidence", "../../secret.npz"),
    "a pipe": piped,
}


def test_what_is_damaged_is_measured_anew(optimized: Path, run: Run) -> None:
    before = figures(optimized)
    measured = sorted((optimized / "measurements").glob("*.json"))
    assert len(measured) >= 4
    for position, path in enumerate(measured):
        [*DAMAGES.values()][position % len(DAMAGES)](path)
    for position, path in enumerate(sorted((optimized / "measurements/evidence").glob("*.npz"))[::2]):
        (path.unlink if position % 2 else lambda path=path: path.write_bytes(b"PK"))()
    (optimized / "optimization.json").unlink()
    answer = run("resume", "out")
    assert answer.code == 0, answer
    assert figures(optimized) == before
    assert run("runs", "add", "out").code in (0, 2)


def test_each_damage_by_itself(optimized: Path, run: Run) -> None:
    for name, damage in DAMAGES.items():
        for path in (optimized / "measurements").glob("fp32-*.json"):
            damage(path)
        answer = run("optimize", "m.onnx", *OPTIONS, "--budget", "1s", "--max-drop", "3")
        assert answer.code == 0, (name, answer)


def test_resume_says_what_it_misses(optimized: Path, run: Run) -> None:
    for content in ("{}", "[]", '{"schema_version": 1, "goal": {}, "seconds": 3}', '{"schema_version": 9}'):
        (optimized / "goal.json").write_text(content)
        assert "the same optimize command with --out goes on" in run("resume", "out").error
