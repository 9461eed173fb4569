"""What other tasks than detection read: sounds, tokens, lines, pages, outlines, pipelines."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from calibrant.models.onnx.model_folders import model_folder
from calibrant.tasks.classification.labels import open_labels as open_classes
from calibrant.tasks.detection.instances.rle import from_counts
from calibrant.tasks.media.pages.labels import open_pages
from calibrant.tasks.media.sounds import read_sound
from calibrant.tasks.recognition.characters import read_characters
from calibrant.tasks.recognition.labels import open_labels as open_lines
from calibrant.tasks.speech.labels import open_labels as open_speech
from calibrant.tasks.speech.tokens import read_tokens
from calibrant.tasks.synthesis.labels import open_sentences
from targets.base import Target, document, refusals, scratch, spliced

TOKENS = b"<blk> 0\n<s> 1\nthe 2\n\xe2\x96\x81a 3\n"
VOCABULARY = {
    "model": {"vocab": {"a": 0, "b": 1}, "merges": []},
    "added_tokens": [{"id": 2, "content": "<|endoftext|>", "special": True}],
}
TRANSCRIPT = b"a ONE WORD\nb TWO\n"
MANIFEST = b'{"audio_filepath": "a.wav", "text": "one", "duration": 1.0}\n'
METADATA = b"file_name,text\na.wav,one\n"
LINES = b"a.png\tone\nb.png\ttwo\n"
PAGES = b'a.png\t[{"transcription": "one", "points": [[0, 0], [4, 0], [4, 2], [0, 2]]}]\n'
OUTLINES = b"0,0,4,0,4,2,0,2,one\n1,1,3,1,3,2,1,2,###\n"
RUNS = {"size": [4, 4], "counts": "02203"}
PIPELINE = b"parts: {encoder: a.onnx, decoder: b.onnx}\nfiles: {tokens: tokens.txt}\ntask: speech\n"
CONFIG = b"PostProcess:\n  name: CTCLabelDecode\n  character_dict: ['a', 'b']\n"
SENTENCES = b'{"phoneme_ids": [1, 2, 3], "text": "one"}\n'


def _sounds(folder: Path) -> Path:
    if not folder.is_dir():
        folder.mkdir()
        for name in ("a.wav", "b.wav"):
            (folder / name).write_bytes(_wave())
        for name in ("a.png", "b.png"):
            cv2.imwrite(str(folder / name), np.zeros((8, 8, 3), np.uint8))
        for name in ("a.onnx", "b.onnx", "tokens.txt"):
            (folder / name).write_bytes(b"x")
    return folder


def _file(name: str, right: bytes, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    """Reads a file of this name beside sounds, images and models."""

    def check(content: bytes) -> None:
        path = _sounds(scratch(name) / "set") / name
        path.write_bytes(spliced(content, right))
        with refusals():
            read(path)

    return check


def _vocabulary(content: bytes) -> None:
    path = scratch("vocabulary") / "tokenizer.json"
    path.write_bytes(document(content, VOCABULARY))
    with refusals():
        read_tokens(path)


def _runs(content: bytes) -> None:
    try:
        told = json.loads(document(content, RUNS))
    except ValueError:
        return
    if isinstance(told, Mapping):  # what the reader of the labels looks at first
        with suppress(ValueError):
            from_counts(told, 4, 4)


def _sentences(path: Path) -> None:
    open_sentences(str(path))


def _wave() -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(64))
    return held.getvalue()


def _text(name: str, file: str, right: bytes, read: Callable[[Path], object]) -> Target:
    return Target(name, _file(file, right, read), lambda: [right])


TASKS = (
    Target("sound", _file("x.wav", _wave(), read_sound), lambda: [_wave()]),
    Target("vocabulary", _vocabulary, lambda: [json.dumps(VOCABULARY).encode()]),
    Target("rle", _runs, lambda: [json.dumps(RUNS).encode()]),
    _text("tokens", "own-tokens.txt", TOKENS, read_tokens),
    _text("trans", "x.trans.txt", TRANSCRIPT, open_speech),
    _text("manifest", "manifest.jsonl", MANIFEST, open_speech),
    _text("metadata", "metadata.csv", METADATA, open_speech),
    _text("sentences", "lines.jsonl", SENTENCES, _sentences),
    _text("line-labels", "gt.txt", LINES, open_lines),
    _text("line-table", "lines.csv", b"image,text\na.png,one\n", open_lines),
    _text("class-table", "classes.csv", b"image,label\na.png,cat\n", open_classes),
    _text("page-labels", "Label.txt", PAGES, open_pages),
    _text("page-outlines", "gt_a.txt", OUTLINES, lambda path: open_pages(path.parent)),
    _text("characters", "keys.txt", b"a\nb\n", read_characters),
    _text("character-config", "inference.yml", CONFIG, read_characters),
    _text("pipeline", "pipeline.yaml", PIPELINE, model_folder),
)
