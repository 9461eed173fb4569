"""Labelled lines in the formats that people have."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibrant.core.errors import DataError
from calibrant.tasks.media.calibration import check_images
from calibrant.tasks.media.contents import contents_sha256
from calibrant.tasks.media.images import read_image
from calibrant.tasks.recognition.labels import open_labels
from label_files import write_image

ROWS = {"b/2.png": 'two, "2"', "a.png": "第一 行", "c.jpg": "x\u3000y"}


def _images(folder: Path) -> Path:
    for name in ROWS:
        write_image(folder / name, 40, 16)
    return folder


def _paddle(folder: Path) -> Path:
    text = "".join(f"{name}\t{text}\n" for name, text in ROWS.items())
    (folder / "rec_gt.txt").write_text(text, encoding="utf-8")
    return folder / "rec_gt.txt"


def _csv(folder: Path) -> Path:
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("file_name", "text"), *ROWS.items()])
    return folder / "metadata.csv"


def _jsonl(folder: Path) -> Path:
    lines = [json.dumps({"image": name, "text": text}, ensure_ascii=False) for name, text in ROWS.items()]
    (folder / "labels.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "labels.jsonl"


@pytest.mark.parametrize("write", [_paddle, _csv, _jsonl])
@pytest.mark.parametrize("by_folder", [False, True])
def test_every_format_gives_the_same_lines(write, by_folder: bool, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    place = write(_images(tmp_path))
    lines = open_labels(tmp_path if by_folder else place)
    assert [(sample.id, sample.text) for sample in lines.samples] == list(ROWS.items())
    assert all(Path(str(sample.path)).is_file() for sample in lines.samples)
    assert len(open_labels(place, 2).samples) == 2


def test_an_lmdb_is_read_and_its_images_are_looked_at(tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    pixels = np.random.default_rng(0).integers(0, 256, (16, 40, 3), np.uint8)
    content = cv2.imencode(".png", pixels)[1].tobytes()
    with lmdb.open(str(tmp_path), map_size=1 << 20) as base, base.begin(write=True) as transaction:
        for number, (image, label) in enumerate([(content, "ab"), (content[:-20], "cd"), (content, "")], 1):
            transaction.put(f"image-{number:09d}".encode(), image)
            transaction.put(f"label-{number:09d}".encode(), label.encode())
        transaction.put(b"num-samples", b"3")
    lines = open_labels(tmp_path)
    assert [sample.text for sample in lines.samples] == ["ab", "cd"]
    assert "1 of 3 lines have no label" in lines.warnings[0]
    assert np.array_equal(read_image(lines.samples[0].path), pixels)
    kept, warnings = check_images(lines.samples, skip_bad=True)
    assert [sample.text for sample in kept] == ["ab"]
    assert "truncated" in warnings[0]
    assert contents_sha256(kept) != contents_sha256(lines.samples)


def test_an_lmdb_that_counts_more_lines_than_it_has_entries_is_refused_at_once(tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(tmp_path), map_size=1 << 20) as base, base.begin(write=True) as transaction:
        transaction.put(b"label-000000001", b"ab")
        transaction.put(b"num-samples", b"999999999")
    with pytest.raises(DataError, match="counts 999999999 lines in 2 entries"):
        open_labels(tmp_path)


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("l.txt", "a.png\tone\nb.png\n", "line 2 .* has no tab"),
        ("l.txt", "a.png\tone\nz.png\ttwo\n", "1 of 2 images labelled .* do not exist"),
        ("l.txt", "a.png\tone\na.png\ttwo\n", "labelled more than once"),
        ("l.txt", "../a.png\tone\n", "leads out of its folder"),
        ("l.txt", 'a.png\t[{"transcription": "x"}]\n', "boxes and texts of a page"),
        ("l.csv", "image,words of it\na.png,x\n", "name one of them text or label"),
        ("l.jsonl", '{"image": "a.png", "text": 3}', "not a text"),
        ("l.jsonl", "[1]", "no JSON object"),
        ("l.txt", "a.png\t\n", "no line .* has a text"),
    ],
)
def test_labels_that_cannot_be_right_are_refused(name: str, text: str, told: str, tmp_path: Path) -> None:
    _images(tmp_path)
    with pytest.raises(DataError, match=told):
        open_labels(_write(tmp_path / name, text))


def test_images_without_labels_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 2 images but no labels"):
        open_labels(_images(tmp_path))
