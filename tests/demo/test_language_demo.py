"""The demo of language models trains one and studies it, with packages alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from calibrant.api.checkpoints import inspect_checkpoint
from calibrant.demo import language


def test_a_tiny_model_is_trained_and_studied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "FORMATS", "w8a8,w3a16-g32")
    monkeypatch.setattr(language, "METHODS", "rtn")
    monkeypatch.setattr(language, "CALIBRATION", 2)
    result: Any = language.run_language_demo(tmp_path / "run", test_samples=3, steps=2)
    assert [trial.name for trial in result.ranking] == ["rtn:w8a8", "rtn:w3a16-g32"]
    assert (tmp_path / "run" / str(result.trial("rtn:w8a8").files) / "config.json").is_file()
    model = inspect_checkpoint(tmp_path / "run" / "model")
    assert (model.model_type, model.blocks) == ("qwen2", 4)
    rows = [json.loads(line) for line in (tmp_path / "run" / "test.jsonl").read_text().splitlines()]
    assert [len(row["text"]) for row in rows] == [256] * 3
    assert result.data.tokens == 3 * 255  # a token is a byte

    again: Any = language.run_language_demo(tmp_path / "run", test_samples=2, seed=1, steps=2, overwrite=True)
    assert again.data.tokens == 2 * 255
    assert (tmp_path / "run" / "test-2.jsonl").is_file()
    assert len((tmp_path / "run" / "test.jsonl").read_text().splitlines()) == 3  # of the run before
