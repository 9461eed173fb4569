"""Voices: driven, judged, compared; of one file and of two."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_voice import HOP, RATE, write_sentences, write_two_parts, write_voice

import calibrant
from calibrant.core.errors import DataError, ModelError
from calibrant.core.tasks import Evaluated
from calibrant.runtimes import runtime_named
from calibrant.tasks.media.sounds import read_sound
from calibrant.tasks.synthesis.differences import as_wav
from calibrant.tasks.synthesis.judging import judge_file, mel_distance, opinions, warped
from calibrant.tasks.synthesis.labels import open_sentences
from calibrant.tasks.synthesis.task import Speaking, SynthesisTask
from calibrant.tasks.synthesis.types import Sentence, Spoken
from calibrant.tasks.synthesis.voices import Inputs, Pace, Vits
from calibrant.testing import TaskConformance

INPUTS = Inputs("input", "int64", "input_lengths", "scales", None, None, None, None)


def spoken(overall: float, seed: int = 0, length: int = 4000) -> Spoken:
    sound = (np.random.default_rng(seed).normal(size=length) * 3000).astype(np.int16)
    return Spoken(sound, RATE, overall, overall, overall)


class TestSynthesis(TaskConformance):
    task = SynthesisTask(Speaking(Vits(INPUTS), Pace(), RATE, Path("judge.onnx")), ["model"])

    def samples(self) -> Sequence[Sentence]:
        return [Sentence(f"s{number}", (number, 1)) for number in range(3)]

    def perfect(self, sample: Sentence) -> Spoken:
        return spoken(4.0, sample.phonemes[0])

    def nothing(self, sample: Sentence) -> Spoken:
        return spoken(1.0, 9)


def test_a_voice_is_studied_as_any_model(tmp_path: Path) -> None:
    voice = write_voice(tmp_path / "joe")
    calib, test = write_sentences(tmp_path / "c.jsonl", 4, 1), write_sentences(tmp_path / "t.jsonl", 8)
    result = calibrant.study(
        voice, calib, test, out=tmp_path / "run", calibrators="minmax", diagnose_budget=0
    )
    assert (result.task, result.model.family, result.metric.name) == ("synthesis", "vits", "dnsmos")
    assert result.baseline.figures["mel distance"] == 0
    assert (result.trial("minmax").figures["mel distance"] or 0) > 0
    assert result.trial("minmax").figures["length change"] == 0


def test_a_vocoder_is_a_part(tmp_path: Path) -> None:
    voice = write_two_parts(tmp_path / "two")
    data = write_sentences(tmp_path / "t.jsonl", 4)
    result = calibrant.study(
        voice, data, data, out=tmp_path / "run", calibrators="minmax", diagnose_budget=0, rate=RATE
    )
    assert [part.name for part in result.parts] == ["acoustic", "vocoder"]
    assert result.model.family == "two-parts"


def test_a_sound_has_an_opinion_and_noise_a_worse_one() -> None:
    rng = np.random.default_rng(1)
    time = np.arange(2 * RATE) / RATE
    tone = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 20)) * (
        np.sin(2 * np.pi * 3 * time) > 0
    )
    with runtime_named("onnxruntime").open(judge_file()) as judge:
        clear, noisy = (
            opinions(judge, (sound * 0.1).astype(np.float32))
            for sound in (tone, tone + rng.normal(size=len(time)) * 3)
        )
    assert 1 <= noisy[0] < clear[0] <= 5
    assert noisy[2] < clear[2]


def test_marks_are_speechmos(tmp_path: Path) -> None:
    """As dnsmos.run computes them: its own windows and polynomials, by the same network."""
    pytest.importorskip("librosa")
    dnsmos = pytest.importorskip("speechmos.dnsmos")
    sound = (np.random.default_rng(3).normal(size=RATE * 12) * 0.1).astype(np.float32)
    wanted = dnsmos.run(sound, RATE)
    with runtime_named("onnxruntime").open(judge_file()) as judge:
        found = opinions(judge, sound)
    assert found == pytest.approx((wanted["ovrl_mos"], wanted["sig_mos"], wanted["bak_mos"]), abs=1e-4)


def test_time_is_warped_away() -> None:
    frames = np.repeat(np.arange(6.0), 3)
    slower = np.repeat(np.arange(6.0), 4)
    assert warped(np.abs(frames[:, None] - slower[None])) == 0
    assert warped(np.ones((5, 7))) == 1
    one = np.abs(np.arange(4.0)[:, None] - np.array([0, 1, 1, 4.0])[None])
    assert warped(one) == pytest.approx((0 + 0 + 1 + 1) / 4)


def test_sounds_of_other_pitch_are_far_apart() -> None:
    time = np.arange(RATE) / RATE
    low, high = (np.sin(2 * np.pi * hertz * time).astype(np.float32) for hertz in (200, 900))
    assert mel_distance(low, low, RATE) == 0
    assert mel_distance(low, high, RATE) > 0.5


def test_what_sounds_worse_can_be_listened_to() -> None:
    sentences = [Sentence(f"s{number}", (number,), f"text {number}") for number in range(3)]
    task = TestSynthesis.task
    floats, others = (
        [spoken(3.0, n) for n in range(3)],
        [spoken(3.0 - 0.2 * n, n + 5, 4400) for n in range(3)],
    )
    told = task.differences(
        "mse", sentences, *(Evaluated(found, task.score(sentences, found)) for found in (floats, others))
    )
    assert (told.worst[0].sentence, told.worse) == ("s2", 2)
    assert told.length_change == pytest.approx(10)
    assert "2 of 3 sentences sound worse" in told.sentence()


def test_sounds_come_back_from_their_wav(tmp_path: Path) -> None:
    one = spoken(3.0)
    (tmp_path / "a.wav").write_bytes(base64.b64decode(as_wav(one)))
    assert np.array_equal(np.round(read_sound(tmp_path / "a.wav").values * 32768), one.sound)


def test_sentences_without_numbers_are_refused(tmp_path: Path) -> None:
    for content in ('{"text": "hello"}', "[1, 2]", "{", '{"phoneme_ids": ["a"]}', ""):
        (tmp_path / "t.jsonl").write_text(content)
        with pytest.raises(DataError):
            open_sentences(str(tmp_path / "t.jsonl"))
    with pytest.raises(DataError, match="does not exist"):
        open_sentences(str(tmp_path / "gone.jsonl"))


def test_an_embedding_is_no_voice(tmp_path: Path) -> None:
    folder = write_two_parts(tmp_path / "two")
    data: Any = write_sentences(tmp_path / "t.jsonl", 2)
    with pytest.raises(ModelError):
        calibrant.study(folder / "vocoder.onnx", data, data, out=tmp_path / "run")


def test_a_hop_is_a_phoneme(tmp_path: Path) -> None:
    voice = write_voice(tmp_path / "joe")
    with runtime_named("onnxruntime").open(voice / "voice.onnx") as session:
        sound = Vits(INPUTS).speak({"model": session}, [1, 2, 3], Pace())
    assert sound.shape == (3 * HOP,)
