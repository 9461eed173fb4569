"""The sentences of the demo's voice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calibrant.core.errors import SettingsError
from calibrant.demo import sentences


@pytest.fixture
def voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A voice's file of phonemes alone: all that writing sentences needs of it."""
    letters = dict.fromkeys("".join(word for group in sentences._ORDER for word in group.values()) + " .")
    numbers = {letter: [at] for at, letter in enumerate(["_", "^", "$", *letters])}
    file = tmp_path / "voice.onnx"
    file.with_name("voice.onnx.json").write_text(json.dumps({"phoneme_id_map": numbers}))
    monkeypatch.setattr(sentences, "demo_model", lambda carried: file)
    return file


def test_no_sentence_is_in_both_and_seeds_decide(voice: Path, tmp_path: Path) -> None:
    made = [
        sentences.write_sentences(tmp_path / str(at), test=20, calibration=10, seed=seed)
        for at, seed in enumerate((0, 0, 1))
    ]
    first, second, other = ((data.calibration.read_text(), data.dataset.read_text()) for data in made)
    assert first == second != other
    calibration, test = ([json.loads(line) for line in text.splitlines()] for text in first)
    assert (len(calibration), len(test)) == (10, 20)
    assert not {row["text"] for row in calibration} & {row["text"] for row in test}
    assert all(row["phoneme_ids"][:2] == [1, 0] and row["phoneme_ids"][-1] == 2 for row in test)
    assert all(len(row["phoneme_ids"]) > 60 for row in test)


def test_no_sentences_are_refused(voice: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        sentences.write_sentences(tmp_path, test=0, calibration=1, seed=0)
