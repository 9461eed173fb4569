"""The word error rate of clips: conformance, labels in every form, tokens, and differences."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from calibrant.core.errors import DataError
from calibrant.core.tasks import Evaluated
from calibrant.tasks.media.texts import Normalisation
from calibrant.tasks.speech.ctc import WAVEFORM, Ctc, Front
from calibrant.tasks.speech.labels import open_labels, open_sounds
from calibrant.tasks.speech.score import CHARACTER, WORD, Comparison, band_of, unit_of
from calibrant.tasks.speech.task import Listening, SpeechTask
from calibrant.tasks.speech.tokens import Tokens, read_tokens
from calibrant.tasks.speech.types import Clip, Heard, Transcript
from calibrant.testing import TaskConformance

HOW = Comparison(Normalisation("nfkc,casefold,words"), WORD)
TOKENS = Tokens(tuple("▁a▁b▁c▁d"))
TEXTS = ("Hello, world!", "the cat sat on the mat", "it's five o'clock", "yes")


def task(how: Comparison = HOW) -> SpeechTask:
    return SpeechTask(Listening(Ctc(Front(WAVEFORM, "x", 0), "y", 0), TOKENS, how), ["model"])


def clip(number: int) -> Clip:
    return Clip(f"c{number}", Path(f"c{number}.wav"), TEXTS[number])


def heard(text: str, seconds: float = 3.0, *, is_runaway: bool = False) -> Transcript:
    return Transcript(text, seconds, Heard((1, 2), is_runaway))


class TestSpeech(TaskConformance):
    task = task()
    best, worst = 0.0, 1.0

    def samples(self) -> Sequence[Clip]:
        return [clip(number) for number in range(4)]

    def perfect(self, sample: Clip) -> Transcript:
        return heard(str(sample.text).upper())

    def nothing(self, sample: Clip) -> Transcript:
        return heard("")


def test_the_rate_is_jiwers() -> None:
    jiwer = pytest.importorskip("jiwer")
    found = ["hello word", "a cat sat on mat today", "it's five o'clock", ""]
    score = task().score([clip(number) for number in range(4)], [heard(text) for text in found])
    said = [HOW.normalise(text) for text in TEXTS]
    assert score.value == pytest.approx(jiwer.wer(said, found))


def test_figures_tell_what_went_wrong() -> None:
    found = [
        heard("hello world", 2.0),
        heard("", 12.0),
        heard("five " * 40, 30.0, is_runaway=True),
        heard("yes"),
    ]
    score = task().score([clip(number) for number in range(4)], found)
    assert (score.figure("empty clips"), score.figure("runaway clips"), score.figure("exact clips")) == (
        25,
        25,
        50,
    )
    assert score.figure("WER up to 5 s") == 0
    assert score.figure("WER 10 to 20 s") == 100
    assert (score.figure("WER over 20 s") or 0) > 1000


def test_characters_are_counted_where_words_have_no_spaces() -> None:
    assert unit_of(["今天天气很好", "OK"]) == CHARACTER
    assert unit_of(["fine weather today"]) == WORD
    how = Comparison(Normalisation("none"), CHARACTER)
    assert how.edits("今天天气", "今天气").count == 1
    assert how.metric.name == "cer"


def test_lengths_have_bands() -> None:
    assert [band_of(seconds) for seconds in (1, 5, 5.1, 15, 25)] == [
        "up to 5 s",
        "up to 5 s",
        "5 to 10 s",
        "10 to 20 s",
        "over 20 s",
    ]


def test_what_is_heard_differently_is_told() -> None:
    samples = [clip(number) for number in range(4)]
    floats = [heard(text) for text in TEXTS]
    other = [floats[0], heard("the cat", is_runaway=True), heard(""), floats[3]]
    bound = task()
    evaluated = [Evaluated(found, bound.score(samples, found)) for found in (floats, other)]
    told = bound.differences("mse", samples, *evaluated)
    assert (told.changed, told.broken, told.runaway, told.empty) == (2, 2, 1, 1)
    assert told.worst_clips[0].clip == "c1"
    assert "1 do not end; 1 are left empty" in told.sentence()


# --- labels ----------------------------------------------------------------------------------------


def sounds(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"RIFF")


def forms(tmp: Path) -> dict[str, Path]:
    sounds(
        tmp, "libri/19/198/19-198-0000.flac", "libri/19/198/19-198-0001.flac", "kaldi/a.wav", "kaldi/b.wav"
    )
    sounds(tmp, "nemo/a.wav", "nemo/b.wav", "lj/wavs/a.wav", "lj/wavs/b.wav", "csv/a.wav", "csv/b.wav")
    (tmp / "libri/19/198/19-198.trans.txt").write_text("19-198-0000 ONE TWO\n19-198-0001 THREE\n")
    (tmp / "kaldi/wav.scp").write_text("u1 a.wav\nu2 b.wav\n")
    (tmp / "kaldi/text").write_text("u1 ONE TWO\nu2 THREE\n")
    rows = [
        {"audio_filepath": "a.wav", "duration": 1.0, "text": "ONE TWO"},
        {"audio_filepath": "b.wav", "text": "THREE"},
    ]
    (tmp / "nemo/manifest.json").write_text("\n".join(map(json.dumps, rows)))
    (tmp / "lj/metadata.csv").write_text("a|1 2|ONE TWO\nb|3|THREE\n")
    (tmp / "csv/metadata.csv").write_text('file_name,transcription\na.wav,"ONE TWO"\nb.wav,THREE\n')
    names = ("libri", "kaldi", "nemo", "lj", "csv")
    return {**{name: tmp / name for name in names}, "file": tmp / "nemo/manifest.json"}


def test_every_form_of_labels_says_the_same(tmp_path: Path) -> None:
    for name, path in forms(tmp_path).items():
        found = open_labels(path).samples
        assert [each.text for each in found] == ["ONE TWO", "THREE"], name
        assert all(each.path.is_file() for each in found), name
        assert len({each.id for each in found}) == 2, name
        assert len(open_sounds(str(path), limit=1)) == 1, name


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("wav.scp", "u1 sox a.wav |\n", "runs commands"),
        ("wav.scp", "u1 gone.wav\n", "do not exist"),
        ("segments", "u1 r1 0 1\n", "cuts its sounds"),
    ],
)
def test_kaldi_folders_that_cannot_be_read(name: str, content: str, said: str, tmp_path: Path) -> None:
    folder = forms(tmp_path)["kaldi"]
    (folder / name).write_text(content)
    with pytest.raises(DataError, match=said):
        open_labels(folder)


def test_labels_that_are_none(tmp_path: Path) -> None:
    for content, said in (
        ('{"text": "a"}', "names no sound"),
        ("[1]", "no JSON object"),
        ("{", "no JSON object"),
    ):
        (tmp_path / "m.jsonl").write_text(content)
        with pytest.raises(DataError, match=said):
            open_labels(tmp_path / "m.jsonl")
    with pytest.raises(DataError, match="does not exist"):
        open_labels(tmp_path / "nothing")
    with pytest.raises(DataError, match="holds no sounds"):
        open_sounds(str(tmp_path / "*.wav"))


# --- tokens ----------------------------------------------------------------------------------------


def test_tokens_of_every_form(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("<blk> 0\n▁hel 1\nlo 2\n▁you 3\n")
    (tmp_path / "vocab.json").write_text(json.dumps({"<pad>": 0, "h": 1, "i": 2, "|": 3}))
    byte_letters = {letter: at for at, letter in enumerate(["Ġhello", "ä", "½", "ł"])}
    content: Any = {"model": {"vocab": byte_letters}, "added_tokens": [{"content": "<|end|>", "id": 4}]}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    plain, letters, pieces = (
        read_tokens(tmp_path / name) for name in ("tokens.txt", "vocab.json", "tokenizer.json")
    )
    assert (plain.text([1, 2, 3]), plain.blank) == ("hello you", 0)
    assert (letters.text([1, 2, 3, 1]), letters.blank) == ("hi h", 0)
    assert pieces.text([0, 1, 2, 3, 4]) == "hello你"


def test_whispers_tokens_in_base64_are_bytes(tmp_path: Path) -> None:
    pieces = [bytes([byte]) for byte in range(256)] + [b" hello"]
    lines = [f"{base64.b64encode(piece).decode()} {number}" for number, piece in enumerate(pieces)]
    (tmp_path / "tokens.txt").write_text("\n".join(lines))
    found = read_tokens(tmp_path / "tokens.txt")
    assert found.text([256, 0xE4, 0xBD, 0xA0]) == "hello你"


NONE = [("tokens.txt", ""), ("tokens.txt", "a 99999999\n")]


@pytest.mark.parametrize(
    ("name", "content"), [*NONE, *(("vocab.json", text) for text in ("{", "7", '{"a": 99999999}'))]
)
def test_files_that_are_no_vocabulary(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError):
        read_tokens(tmp_path / name)
