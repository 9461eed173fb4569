"""``.pt`` and PaddlePaddle files on the command line: exported by their own command, where they may."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from outcomes import Run

# Stands for a framework's command: writes down how it was called, and gives the toy detector as ONNX.
PROGRAM = """#!{python}
import json, os, pathlib, shutil, sys
log = pathlib.Path({log!r})
before = log.read_text() if log.exists() else ""
log.write_text(before + json.dumps({{"argv": sys.argv[1:], "files": sorted(os.listdir("."))}}) + "\\n")
if {fails!r}:
    sys.exit("no module named torch")
shutil.copy({model!r}, [a for a in sys.argv if a.endswith(".onnx")][-1] if {names_result!r} else "best.onnx")
"""


@pytest.fixture
def program(work: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a command on the PATH, and give the file that holds how it was called."""

    def made(name: str = "yolo", *, fails: bool = False, names_result: bool = False) -> Path:
        log, file = work / "calls.txt", work / "bin" / name
        file.parent.mkdir(exist_ok=True)
        facts = {"log": str(log), "model": str(work / "m.onnx"), "fails": fails, "names_result": names_result}
        file.write_text(PROGRAM.format(python=sys.executable, **facts))
        file.chmod(0o755)
        monkeypatch.setenv("PATH", str(file.parent))
        return log

    return made


@pytest.fixture
def checkpoint(work: Path) -> Path:
    """A pickle that must not be opened by us: opening it would raise."""
    path = work / "best.pt"
    path.write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    return path


def calls(log: Path) -> list[dict[str, list[str]]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_a_checkpoint_is_exported_once_where_it_is_trusted(
    run: Run, work: Path, program: Callable[..., Path], checkpoint: Path
) -> None:
    log = program()
    for _ in range(2):
        answer = run("inspect", "--trust", checkpoint, checkpoint, "--imgsz", "64")
        assert answer.code == 0, answer.err
        assert "best.pt is read as" in answer.err
    (call,) = calls(log)
    assert call["argv"][:3] == ["export", "model=best.pt", "format=onnx"]
    assert "imgsz=64" in call["argv"]
    assert "best.pt" in call["files"]
    assert not list(work.rglob("opened"))


@pytest.mark.parametrize("words", [(), ("--trust", "m.onnx")])
def test_without_the_users_word_nothing_runs(
    run: Run, program: Callable[..., Path], checkpoint: Path, words: tuple[str, ...]
) -> None:
    log = program()
    answer = run("inspect", checkpoint, *words)
    assert answer.code == 2
    assert "--trust" in answer.err
    assert calls(log) == []


def test_a_failure_is_told_in_the_commands_words(
    run: Run, program: Callable[..., Path], checkpoint: Path
) -> None:
    program(fails=True)
    answer = run("inspect", checkpoint, "--trust", checkpoint)
    assert (answer.code, answer.err.count("\n")) == (2, 2)  # that it is exported, and that it failed
    assert "no module named torch" in answer.err


def test_without_the_command_the_remedy_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, checkpoint: Path, work: Path
) -> None:
    monkeypatch.setenv("PATH", str(work))
    monkeypatch.setattr(sys, "executable", str(work / "python"))
    answer = run("inspect", checkpoint, "--trust", checkpoint)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "yolo export model=best.pt format=onnx" in answer.err


def test_paddle_needs_no_trust_and_its_weights(run: Run, work: Path, program: Callable[..., Path]) -> None:
    log = program("paddle2onnx", names_result=True)
    (work / "inference.json").write_text("{}")
    assert run("inspect", "inference.json").code == 2
    assert calls(log) == []
    (work / "inference.pdiparams").write_bytes(b"weights")
    assert run("inspect", "inference.json").code == 0
    (call,) = calls(log)
    assert call["argv"][call["argv"].index("--params_filename") + 1] == "inference.pdiparams"
    assert call["files"] == ["inference.json", "inference.pdiparams"]


def test_labels_are_no_model(run: Run, work: Path, program: Callable[..., Path]) -> None:
    program("paddle2onnx")
    (work / "labels.json").write_text("{}")
    (work / "labels.pdiparams").write_bytes(b"")
    answer = run("evaluate", "--data", "labels.json", "m.onnx")
    assert "exported" not in answer.err
