"""A study that is killed goes on from the last finished block; streams on disk measure the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from calibrant.api.checkpoints import study_checkpoint
from calibrant.models.checkpoint import streaming
from calibrant.studies.checkpoints.result import CheckpointStudy
from tiny_checkpoints import write_checkpoint, write_texts

TEXTS = [f"{n} sheep and {n * n} goats went to the {'market' if n % 2 else 'river'}" for n in range(12)]
KILLED_IN_BLOCK = """
import os, signal, sys
from calibrant.models.checkpoint import streaming
from calibrant.api.checkpoints import study_checkpoint  # noqa: E402
advanced = streaming.advance
def advance(architecture, block, number, *rest, **more):
    advanced(architecture, block, number, *rest, **more)
    if number == 1 and "cache" in more:
        os.kill(os.getpid(), signal.SIGKILL)
streaming.advance = advance
study_checkpoint(*sys.argv[1:4], formats="w4a16-g32,w8a8", methods="rtn", out=sys.argv[4])
"""


class Notes:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)

    def __getattr__(self, name: str) -> object:
        from calibrant.core.progress import Silent

        return getattr(Silent(), name)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("m") / "m", "deepseek_v3", num_hidden_layers=3)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("texts")
    return write_texts(folder / "c.jsonl", TEXTS[:5]), write_texts(folder / "t.jsonl", TEXTS[5:])


def cut_off(
    monkeypatch: pytest.MonkeyPatch, model: Path, texts: tuple[str, str], out: Path, memory: str
) -> None:
    """A study that ends while its first candidate crosses the second block."""
    advanced = streaming.advance

    def advance(architecture: Any, block: Any, number: int, *rest: Any, **more: Any) -> None:
        advanced(architecture, block, number, *rest, **more)
        if number == 1 and "cache" in more:
            raise KeyboardInterrupt

    monkeypatch.setattr(streaming, "advance", advance)
    with pytest.raises(KeyboardInterrupt):
        study_checkpoint(model, *texts, **RECIPES, out=out, max_memory=memory)
    monkeypatch.undo()


RECIPES: Any = {"formats": "w4a16-g32,w8a8", "methods": "rtn"}


@pytest.fixture(scope="module")
def whole(model: Path, texts: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> CheckpointStudy:
    return study_checkpoint(model, *texts, **RECIPES, out=tmp_path_factory.mktemp("runs") / "whole")


def require_equal(found: CheckpointStudy, whole: CheckpointStudy) -> None:
    assert found.routing == whole.routing
    for trial in whole.trials:
        again = found.trial(trial.name)
        assert (again.loss, again.growth) == (trial.loss, trial.growth)
    assert not (Path(found.out) / "unfinished").exists()
    assert found.recommended is not None
    sums = [
        Path(each.out) / str(each.trial(found.recommended.name).files) / "SHA256SUMS"
        for each in (found, whole)
    ]
    assert sums[0].read_text() == sums[1].read_text()


def test_a_killed_study_goes_on_from_the_last_finished_block(
    model: Path, texts: tuple[str, str], tmp_path: Path, whole: CheckpointStudy
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IN_BLOCK, str(model), *texts, str(tmp_path)],
        env=os.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    notes: Any = Notes()
    found = study_checkpoint(model, *texts, **RECIPES, out=tmp_path, progress=notes)
    assert "going on from block 1 of 3" in notes.told
    require_equal(found, whole)


def test_streams_on_disk_measure_the_same_and_are_gone_on_from(
    model: Path,
    texts: tuple[str, str],
    tmp_path: Path,
    whole: CheckpointStudy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut_off(monkeypatch, model, texts, tmp_path, "1MB")
    notes: Any = Notes()
    found = study_checkpoint(model, *texts, **RECIPES, out=tmp_path, max_memory="1MB", progress=notes)
    assert any("of streams are kept on disk" in note for note in notes.told)
    assert "going on from block 1 of 3" in notes.told
    require_equal(found, whole)


def test_what_another_study_left_is_not_taken(
    model: Path, texts: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(monkeypatch, model, texts, tmp_path, "8GB")
    assert (tmp_path / "unfinished" / "state.json").is_file()
    notes: Any = Notes()
    study_checkpoint(model, *texts, formats="w8a8", methods="rtn", out=tmp_path, progress=notes)
    assert not any("going on" in note for note in notes.told)
